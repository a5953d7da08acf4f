//! The SMS texts that come with the program.
//!
//! Each is short enough to fit in one part of an SMS. The code comes first, where a notification shows it and autofill
//! looks for it. "Min." and similar abbreviations avoid plural forms; where a language has no such abbreviation, the
//! word does not change with the number.
//!
//! Right to left: a number keeps its order inside Arabic, but a number next to Latin letters takes their direction
//! (Unicode Annex 9, rule W7), so that "Example: 493817" would be shown in the wrong order. So the code begins the
//! text, and an Arabic word separates it from the brand. Invisible direction marks are not used: old phones show them
//! as boxes, and each takes the space of a character.

pub struct Shipped {
    pub tag: &'static str,
    pub sms: &'static str,
    /// Replaces `{brand}` if the settings name none, so that the text still reads well.
    pub unbranded: &'static str,
}

const fn text(tag: &'static str, sms: &'static str, unbranded: &'static str) -> Shipped {
    Shipped { tag, sms, unbranded }
}

/// The first is the default.
pub const SHIPPED: [Shipped; 10] = [
    text("en", "{code} is your {brand} code. It expires in {minutes} min.", "verification"),
    text("id", "{code} adalah kode {brand} Anda. Berlaku {minutes} menit.", "verifikasi"),
    text("pt-BR", "{code} é seu código {brand}. Vale por {minutes} min.", "de verificação"),
    text("es", "{code} es tu código {brand}. Vence en {minutes} min.", "de verificación"),
    text("hi", "{code} आपका {brand} कोड है। {minutes} मिनट तक मान्य।", "सत्यापन"),
    text("ar", "{code} هو رمز {brand} الخاص بك. صالح لمدة {minutes} د.", "التحقق"),
    text("zh", "{code} 是您的{brand}验证码，{minutes} 分钟内有效。", "短信"),
    text("fr", "{code} est votre code {brand}. Il expire dans {minutes} min.", "de vérification"),
    text("de", "{code} ist Ihr {brand}-Code. Gültig für {minutes} Min.", "SMS"),
    text("nl", "{code} is je {brand}-code. Nog {minutes} min. geldig.", "sms"),
];
