//! Closed sets of words that stand in the database, in JSON and in the code under the same names.

/// Gives an enum its words: `ALL`, `as_str`, `FromStr`, `Display` and `Serialize`, from one list.
///
/// `; else Other` names the variant for words of a newer program, which this one meets while instances are replaced one by
/// one. `read` makes it of any such word. It has no word of its own that is stored: the statements leave what stands there.
macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? $(; else $other:ident)? })*) => {$(
        impl $name {
            /// Every variant that has a word, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* $(Self::$other => "other")? }
            }

            $(
                /// Reads a stored word; one that this program does not know becomes the variant for those.
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
    )*};
}
pub(crate) use words;
