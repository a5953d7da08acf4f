//! The settings of an account's provider.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_settings::section::Section;

use crate::Provider;
use crate::templates::Templates;

/// A known provider, as listed in the registry.
pub struct Kind {
    /// Value of `provider` in the settings.
    pub name: &'static str,
    /// Name for display.
    pub title: &'static str,
    /// Follows `is "sms", which`. `None`: its accounts can send SMS.
    pub why_no_sms: Option<&'static str>,
    /// Default limits of an account.
    pub limits: fn(Channel) -> Limits,
    /// Additional forms of a sender, besides numbers, short codes and names.
    pub sender_form: Option<SenderForm>,
    /// The settings describe its requests, so they decide which fields a request has.
    pub is_described: bool,
    /// Reads the settings that only this provider has, and the account's templates. Reports everything that is wrong before
    /// it returns `None`. The language is the default one of the texts.
    pub read: fn(&Section<'_>, Channel, &Language) -> Read,
    /// What the conformance tests need.
    #[cfg(test)]
    pub case: &'static crate::conformance::case::Case,
}

/// Default limits of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Messages per second.
    pub per_second: f64,
    /// Calls at the same time.
    pub concurrency: u32,
}

/// A form of sender that only one provider has.
pub struct SenderForm {
    pub fits: fn(&str) -> bool,
    /// Appended to the list of what is allowed.
    pub allowed: &'static str,
}

/// The part of an account that could be read: its provider, and its templates (usually none for SMS).
pub struct Read {
    pub provider: Option<Configured>,
    pub templates: Option<Templates>,
}

/// An account's provider with its settings. Two are equal when they were read from equal settings.
#[derive(Clone)]
pub struct Configured {
    pub kind: &'static Kind,
    /// Address of the provider's API, without a slash at its end.
    pub base_url: String,
    /// An SMS can name its sender.
    pub takes_sender: bool,
    /// An SMS can carry the ids that India requires.
    pub takes_dlt: bool,
    /// Settings that are allowed but should be checked. Each sentence continues the account's path in the settings.
    pub cautions: Vec<String>,
    config: Arc<dyn Config>,
}

/// The settings of one adapter.
trait Config: Any + fmt::Debug + Send + Sync {
    fn build(&self) -> Box<dyn Provider>;
    fn is_same(&self, other: &dyn Config) -> bool;
    fn cloned(&self) -> Arc<dyn Config>;
}

#[derive(Debug)]
struct Of<C> {
    config: C,
    build: fn(C) -> Box<dyn Provider>,
}

impl<C: Clone + PartialEq + fmt::Debug + Send + Sync + 'static> Config for Of<C> {
    fn build(&self) -> Box<dyn Provider> {
        (self.build)(self.config.clone())
    }

    fn is_same(&self, other: &dyn Config) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>().is_some_and(|other| other.config == self.config)
    }

    fn cloned(&self) -> Arc<dyn Config> {
        Arc::new(Self { config: self.config.clone(), build: self.build })
    }
}

impl Configured {
    /// By default it accepts neither a sender nor DLT ids; the methods below change that.
    pub fn new<C>(kind: &'static Kind, base_url: &str, config: C, build: fn(C) -> Box<dyn Provider>) -> Self
    where
        C: Clone + PartialEq + fmt::Debug + Send + Sync + 'static,
    {
        Self {
            kind,
            base_url: base_url.to_owned(),
            takes_sender: false,
            takes_dlt: false,
            cautions: Vec::new(),
            config: Arc::new(Of { config, build }),
        }
    }

    pub fn takes_sender(self, takes_sender: bool) -> Self {
        Self { takes_sender, ..self }
    }

    pub fn takes_dlt(self, takes_dlt: bool) -> Self {
        Self { takes_dlt, ..self }
    }

    pub fn cautions(self, cautions: Vec<String>) -> Self {
        Self { cautions, ..self }
    }

    pub fn build(&self) -> Box<dyn Provider> {
        self.config.build()
    }

    /// Whether the provider ever reports deliveries, by callback or status query. If not, an accepted message counts as
    /// delivered.
    pub fn tells_delivery(&self) -> bool {
        self.build().abilities().tells_delivery()
    }

    /// The adapter's own settings, if they are of this type.
    pub fn config<C: 'static>(&self) -> Option<&C> {
        let config: &dyn Any = &*self.config;
        config.downcast_ref::<Of<C>>().map(|of| &of.config)
    }

    /// For changing the adapter's own settings in tests, if they are of this type.
    pub fn config_mut<C: 'static>(&mut self) -> Option<&mut C> {
        if Arc::get_mut(&mut self.config).is_none() {
            self.config = self.config.cloned();
        }
        let config: &mut dyn Any = Arc::get_mut(&mut self.config)?;
        config.downcast_mut::<Of<C>>().map(|of| &mut of.config)
    }
}

impl PartialEq for Configured {
    fn eq(&self, other: &Self) -> bool {
        self.config.is_same(&*other.config)
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.kind.name).field(&self.config).finish()
    }
}
