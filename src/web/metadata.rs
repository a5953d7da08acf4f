//! The data that an app attaches to a message.

use crate::domain::field_code::FieldCode;
use crate::web::problem::ApiError;

/// Maximum length of `metadata` as JSON, in bytes.
const METADATA: usize = 4096;
/// Maximum depth of `metadata`: JSON parsers have limits of their own, and this is below all of them.
const METADATA_DEPTH: usize = 32;

/// `json`: valid JSON. It is stored unchanged, so its numbers may have any size.
pub(super) fn check(json: &str) -> Result<(), ApiError> {
    if !json.starts_with('{') {
        return Err(ApiError::field("metadata", FieldCode::MetadataNotObject, "must be a JSON object"));
    }
    if json.len() > METADATA {
        return Err(ApiError::field(
            "metadata",
            FieldCode::MetadataTooLong,
            format!("must be at most {METADATA} bytes as JSON"),
        ));
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (place, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => {
                // A later conversion to `jsonb` would fail.
                if json[place..].starts_with("u0000") {
                    return Err(ApiError::field(
                        "metadata",
                        FieldCode::MetadataHasNul,
                        "must not contain the character U+0000",
                    ));
                }
                escaped = false;
            }
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        if depth > METADATA_DEPTH {
            return Err(ApiError::field(
                "metadata",
                FieldCode::MetadataTooDeep,
                format!("must be at most {METADATA_DEPTH} levels deep"),
            ));
        }
    }
    Ok(())
}
