//! Closed sets of words with the same names in the database, in JSON and in the code.

/// Gives an enum its words: `ALL`, `as_str`, `FromStr`, `Display`, `Serialize` and `Deserialize`, from one list.
///
/// `; else Other` names the variant for words of a newer version, which can occur while instances are replaced one by
/// one.
/// `read` maps any unknown word to it. The variant has no stored word: statements leave the stored value unchanged.
#[macro_export]
macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? $(; else $other:ident)? })*) => {$(
        impl $name {
            /// Every variant that has a word, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* $(Self::$other => "other")? }
            }

            $(
                /// Reads a stored word; an unknown one becomes the variant for words of a newer version.
                pub fn read(text: &str) -> Self {
                    text.parse().unwrap_or(Self::$other)
                }
            )?
        }

        impl std::str::FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            /// A word that this program does not know becomes the variant for those, or is an error where there is none.
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let known = text.parse::<Self>();
                $(let known = known.or(Ok::<_, ()>(Self::$other));)?
                known.map_err(|()| serde::de::Error::unknown_variant(&text, &[$($word),*]))
            }
        }
    )*};
}
