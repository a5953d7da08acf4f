//! WhatsApp's authentication templates, as most providers accept them.

use serde::Serialize;

use crate::Template;

/// An authentication template: the same shape for copy-code, one-tap and zero-tap buttons; the code is in the text and
/// in the button. `Index`: text for WhatsApp itself, an integer for some providers that pass it on.
///
/// Source: WhatsApp Business Platform, "Copy code authentication templates", "Sending authentication templates" (page
/// of 2026-06-24, read 2026-11-26).
#[derive(Serialize)]
pub(crate) struct AuthTemplate<'a, Index> {
    name: &'a str,
    language: Language<'a>,
    components: AuthComponents<'a, Index>,
}

/// The code, in the text and in the button.
#[derive(Serialize)]
pub(crate) struct AuthComponents<'a, Index>([Component<'a, Index>; 2]);

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Component<'a, Index> {
    Body { parameters: [Parameter<'a>; 1] },
    Button { sub_type: &'static str, index: Index, parameters: [Parameter<'a>; 1] },
}

#[derive(Serialize)]
pub(crate) struct Parameter<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl<'a, Index> AuthTemplate<'a, Index> {
    pub(crate) fn new(template: &'a Template, digits: &'a str, index: Index) -> Self {
        let language = Language { code: &template.language, policy: None };
        Self { name: &template.name, language, components: AuthComponents::new(digits, index) }
    }

    /// Adds the language's policy, for providers whose page on authentication templates has it. There is only this one:
    /// the template is sent in that language or not at all.
    pub(crate) fn deterministic(mut self) -> Self {
        self.language.policy = Some("deterministic");
        self
    }
}

impl<'a, Index> AuthComponents<'a, Index> {
    pub(crate) fn new(digits: &'a str, index: Index) -> Self {
        let parameters = || [Parameter { r#type: "text", text: digits }];
        Self([
            Component::Body { parameters: parameters() },
            Component::Button { sub_type: "url", index, parameters: parameters() },
        ])
    }
}
