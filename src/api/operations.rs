//! Every operation of the HTTP API: one table from which the server's routes, the OpenAPI document and the client's paths come.

use crate::domain::key_scope::KeyScope;
use crate::domain::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    SendMessage,
    ListMessages,
    GetMessage,
    GetTimeline,
    CheckCode,
    ResendMessage,
    CancelMessage,
    OfferChannels,
    HandshakeWebhook,
    ReceiveWebhook,
    GetHealth,
    GetReadiness,
    GetMetrics,
    GetOpenApi,
    GetDocs,
}

words! {
    Operation {
        SendMessage = "send_message",
        ListMessages = "list_messages",
        GetMessage = "get_message",
        GetTimeline = "get_timeline",
        CheckCode = "check_code",
        ResendMessage = "resend_message",
        CancelMessage = "cancel_message",
        OfferChannels = "offer_channels",
        HandshakeWebhook = "handshake_webhook",
        ReceiveWebhook = "receive_webhook",
        GetHealth = "get_health",
        GetReadiness = "get_readiness",
        GetMetrics = "get_metrics",
        GetOpenApi = "get_openapi",
        GetDocs = "get_docs",
    }
}

/// GET is answered to HEAD, too, without the body; a handshake is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl Operation {
    pub const fn method(self) -> Method {
        match self {
            Self::SendMessage
            | Self::CheckCode
            | Self::ResendMessage
            | Self::CancelMessage
            | Self::OfferChannels
            | Self::ReceiveWebhook => Method::Post,
            Self::ListMessages
            | Self::GetMessage
            | Self::GetTimeline
            | Self::HandshakeWebhook
            | Self::GetHealth
            | Self::GetReadiness
            | Self::GetMetrics
            | Self::GetOpenApi
            | Self::GetDocs => Method::Get,
        }
    }

    /// With its parameters in braces.
    pub const fn path(self) -> &'static str {
        match self {
            Self::SendMessage | Self::ListMessages => "/v1/messages",
            Self::GetMessage => "/v1/messages/{id}",
            Self::GetTimeline => "/v1/messages/{id}/timeline",
            Self::CheckCode => "/v1/messages/{id}/check",
            Self::ResendMessage => "/v1/messages/{id}/resend",
            Self::CancelMessage => "/v1/messages/{id}/cancel",
            Self::OfferChannels => "/v1/channels",
            Self::HandshakeWebhook | Self::ReceiveWebhook => "/webhooks/{account}",
            Self::GetHealth => "/healthz",
            Self::GetReadiness => "/readyz",
            Self::GetMetrics => "/metrics",
            Self::GetOpenApi => "/openapi.json",
            Self::GetDocs => "/docs",
        }
    }

    /// The path for this message.
    pub fn of_message(self, id: &str) -> String {
        self.path().replace("{id}", id)
    }

    /// Every path, once.
    pub fn paths() -> Vec<&'static str> {
        let mut paths: Vec<&str> = Vec::new();
        for operation in Self::ALL {
            if !paths.contains(&operation.path()) {
                paths.push(operation.path());
            }
        }
        paths
    }

    /// The operations of a path.
    pub fn at(path: &str) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |operation| operation.path() == path)
    }

    /// The methods of a path, as `Allow` has them: `GET, HEAD, POST`.
    pub fn allowed(path: &str) -> String {
        let mut methods = Vec::new();
        for operation in Self::at(path) {
            methods.push(operation.method().as_str());
            methods.extend(operation.answers_head().then_some("HEAD"));
        }
        methods.join(", ")
    }

    /// Whether it is closed to those without an API key.
    pub fn needs_key(self) -> bool {
        self.scope().is_some()
    }

    /// What a key needs for it.
    pub const fn scope(self) -> Option<KeyScope> {
        match self {
            Self::SendMessage | Self::ResendMessage | Self::CancelMessage => Some(KeyScope::MessagesSend),
            Self::ListMessages | Self::GetMessage | Self::GetTimeline => Some(KeyScope::MessagesRead),
            Self::CheckCode => Some(KeyScope::Checks),
            Self::OfferChannels => Some(KeyScope::Channels),
            Self::HandshakeWebhook
            | Self::ReceiveWebhook
            | Self::GetHealth
            | Self::GetReadiness
            | Self::GetMetrics
            | Self::GetOpenApi
            | Self::GetDocs => None,
        }
    }

    /// Whether HEAD gets its answer without the body.
    pub fn answers_head(self) -> bool {
        self.method() == Method::Get && self != Self::HandshakeWebhook
    }
}

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}
