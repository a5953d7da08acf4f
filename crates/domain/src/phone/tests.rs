use super::*;

fn e164(input: &str) -> Result<String, PhoneError> {
    Phone::parse(input).map(|phone| phone.e164().to_owned())
}

#[test]
fn mobile_numbers_are_taken_and_printed_masked() {
    for (input, e164, country, masked) in [
        ("+628123450003", "+628123450003", "ID", "+62 … 03"),
        ("+62 812-345-0003", "+628123450003", "ID", "+62 … 03"),
        ("+5511961230002", "+5511961230002", "BR", "+55 … 02"),
        ("+12025550143", "+12025550143", "US", "+1 … 43"),
    ] {
        let phone = Phone::parse(input).unwrap();
        assert_eq!((phone.e164(), phone.country(), phone.masked().as_str()), (e164, country, masked));
        assert_eq!(format!("{phone} {phone:?}").matches(&e164[5..9]).count(), 0);
        let stored = Phone::from_stored(e164, country, phone.calling_code().len() as i16);
        assert_eq!(stored, Some(phone));
    }
}

/// The same number as keyboards, phone books, spreadsheets and addresses write it.
#[test]
fn a_number_is_read_however_it_is_written() {
    for input in [
        "+447400123456",
        " +44 7400 123456 ",
        "+44 (0)7400 123456",
        "+44 (0) 7400-123-456",
        "+44\u{a0}7400\u{2009}123456",
        "+44.7400.123456",
        "+44/7400/123456",
        "+44–7400—123456",
        "+44\u{2011}7400\u{2212}123456",
        "+44\u{30fb}7400\u{30fb}123456",
        "（+44）7400 123456",
        "[+44] 7400 123456",
        "\u{202a}+447400123456\u{202c}",
        "\u{200e}+44 7400 123456",
        "\u{2066}+447400123456\u{2069}",
        "\u{feff}+447400\u{200b}123456",
        "+44\u{ad}7400123456",
        "\u{ff0b}447400123456",
        "\u{ff0b}\u{ff14}\u{ff14}\u{ff17}\u{ff14}\u{ff10}\u{ff10}\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}",
        "+٤٤٧٤٠٠١٢٣٤٥٦",
        "+۴۴۷۴۰۰۱۲۳۴۵۶",
        "+४४७४००१२३४५६",
        "\u{fe62}447400123456",
        "00447400123456",
        "00 44 7400 123456",
        "(0044) 7400 123456",
        "0044 (0)7400 123456",
        "+00447400123456",
        "00+447400123456",
        "++447400123456",
        "%2B447400123456",
        "tel:+44-7400-123456",
        "TEL:+447400123456;ext=12",
        "tel:+447400123456;phone-context=+44",
        "p:+447400123456",
        "whatsapp:+447400123456",
        "Tel.: +44 7400 123456",
        "Mobile +44 7400 123456",
        "Телефон: +44 7400 123456",
        "🇬🇧 +44 7400 123456",
        "📱+447400123456",
        "'+447400123456",
        "\"+447400123456\"",
        "<+447400123456>",
        "+447400123456 x12",
        "+447400123456 ext. 12",
        "+447400123456 доб. 12",
        "+447400123456#12",
        "+447400123456,12",
        "+447400123456p12",
        "+447400123456\n",
        "+44\t7400\t123456",
        "+44 44 7400123456",
        "+4️⃣4️⃣7400123456",
        "+44_7400_123456",
        "+44 7400 123456.",
        "+44 ~ 7400 123456",
    ] {
        assert_eq!(e164(input), Ok("+447400123456".to_owned()), "{input:?}");
    }
}

/// All forms of one number are one recipient.
#[test]
fn former_and_clumsy_forms_become_the_one_of_today() {
    for (inputs, today) in [
        // Mexico: the 1 from before 2019, and the prefixes of national calls.
        (
            "+5215512345678 +525512345678 +52(1)5512345678 +520445512345678 +520455512345678 +52015512345678",
            "+525512345678",
        ),
        ("+5213312345678 +523312345678", "+523312345678"),
        // Argentina: with and without 9, 15 and 0.
        (
            "+541123456789 +5491123456789 +54111523456789 +5401123456789 +54011-15-23456789 +54911-15-23456789",
            "+5491123456789",
        ),
        ("+543512345678 +5493512345678 +54351152345678 +5403511523-45678", "+5493512345678"),
        // Brazil: with and without the ninth digit, the zero, an operator's code.
        ("+551181234567 +5511981234567 +55(011)981234567 +55(011)8123-4567 +5501511981234567", "+5511981234567"),
        ("+553191234567 +5531991234567", "+5531991234567"),
        // Ivory Coast, January 2021: Orange, MTN, Moov.
        ("+22507123456 +2250707123456", "+2250707123456"),
        ("+22545123456 +2250545123456", "+2250545123456"),
        ("+22502123456 +2250102123456", "+2250102123456"),
        // Benin, November 2024.
        ("+22997123456 +2290197123456", "+2290197123456"),
        // Vietnam, 2018.
        ("+841631234567 +84331234567 +8401631234567 +840331234567", "+84331234567"),
        ("+841201234567 +84701234567", "+84701234567"),
        ("+23771234567 +237671234567", "+237671234567"),
        ("+2307123456 +23057123456", "+23057123456"),
        ("+24107123456 +2417123456 +241077123456 +24177123456", "+24177123456"),
        ("+24106123456 +24166123456", "+24166123456"),
        // Trunk prefixes.
        ("+62081234500003 +6281234500003", "+6281234500003"),
        ("+49(0)15112345678 +4915112345678", "+4915112345678"),
        ("+61(0)412345678 +61412345678", "+61412345678"),
        ("+78926 1234567 +7 8 926 123-45-67 +79261234567", "+79261234567"),
        ("+998 8 90 1234567 +998901234567", "+998901234567"),
        ("+375 80 29 1234567 +375291234567", "+375291234567"),
        ("+37086 1234567 +37061234567", "+37061234567"),
        ("+36 06 20 1234567 +36201234567", "+36201234567"),
        ("+1 1 2025550143 +12025550143", "+12025550143"),
        ("+56 09 81234567 +56981234567", "+56981234567"),
        ("+57 0 310 1234567 +573101234567", "+573101234567"),
        ("+34 0 612345678 +34612345678", "+34612345678"),
        ("+39 0 347 1234567 +393471234567", "+393471234567"),
        ("+91 91 9876543210 +91 0 9876543210 +919876543210", "+919876543210"),
        ("+92 92 3001234567 +923001234567", "+923001234567"),
        // In no known range, with and without the zero of national calls.
        ("+44(0)7700900123 +447700900123", "+447700900123"),
    ] {
        // Some of them contain a space.
        let inputs = inputs.split(" +").map(|input| format!("+{}", input.trim_start_matches('+')));
        for input in inputs {
            assert_eq!(e164(&input).as_deref(), Ok(today), "{input}");
        }
    }
}

#[test]
fn a_zero_that_belongs_to_the_number_stays() {
    // Italy's fixed lines begin with 0; without it they would be another person's mobile number.
    for (input, kept) in [("+390669812345", "+390669812345"), ("+39 0345 123456", "+390345123456")] {
        assert_eq!(Phone::read(input).map(|number| number.phone.e164().to_owned()).as_deref(), Ok(kept));
    }
    assert_eq!(e164("+2250707123456").as_deref(), Ok("+2250707123456"));
    assert_eq!(e164("+242 06 612 3456").as_deref(), Ok("+242066123456"));
}

#[test]
fn what_is_no_number_with_a_calling_code_is_refused() {
    for input in [
        "",
        "   ",
        "+",
        "++",
        "08123450003",
        "7400123456",
        "tel:7400123456",
        "+62812345000x",
        "+62812345000O1",
        "+0628123450003",
        "+6281234500031234567",
        "+6281",
        "+447400123456 +447400123457",
        "+447400123456, +447400123457",
        "+447400123456 / +447400123457",
        "+44%207400123456",
        "+44*7400123456",
        "+44740012345\u{0}6",
        "+44740012345①",
        "+44740012345²",
        "+4474001abc23456",
        "john@example.com",
        "+1-800-FLOWERS",
        "a very long label that is none: +447400123456",
        "null",
        "undefined",
    ] {
        assert_eq!(Phone::read(input).err(), Some(PhoneError::NotE164), "{input:?}");
    }
    assert_eq!(Phone::read(&format!("+447400123456{}", " ".repeat(400))).err(), Some(PhoneError::NotE164));
    for input in ["+999123456789", "+12025550", "+15512345678901", "+4474001234567890", "+22500"] {
        assert!(Phone::read(input).is_err(), "{input}");
    }
}

#[test]
fn a_number_that_the_metadata_do_not_know_is_a_matter_of_settings() {
    let strict = NumberRules { unknown: Unknown::Refuse, ..NumberRules::default() };
    // In a new area, in a reserved range, in an unassigned range: each is possible.
    for (input, country) in [
        ("+16242345678", "US"),
        ("+447700900123", "GB"),
        ("+491511234567", "DE"),
        ("+97150123456", "AE"),
        ("+5037012345", "SV"),
        ("+76001234567", "RU"),
    ] {
        let number = Phone::read(input).unwrap();
        assert_eq!((number.line, number.phone.country()), (None, country), "{input}");
        assert_eq!(NumberRules::default().check(&number), Ok(()));
        assert_eq!(strict.check(&number), Err(PhoneError::Unknown));
    }
}

#[test]
fn kinds_that_cannot_get_a_code_or_cost_more_are_refused_by_default() {
    for (input, line) in [
        ("+442079460000", Line::FixedLine),
        ("+33145678901", Line::FixedLine),
        ("+18005550199", Line::TollFree),
        ("+19002345678", Line::PremiumRate),
        ("+449012345678", Line::PremiumRate),
        ("+33891123456", Line::PremiumRate),
        ("+491801123456", Line::SharedCost),
        ("+447012345678", Line::Personal),
        ("+447640123456", Line::Pager),
        ("+445612345678", Line::Voip),
        ("+445512345678", Line::Company),
    ] {
        let number = Phone::read(input).unwrap();
        assert_eq!(number.line, Some(line), "{input}");
        assert_eq!(NumberRules::default().check(&number), Err(PhoneError::Kind(line)));
        let rules = NumberRules { kinds: BTreeSet::from([line]), ..NumberRules::default() };
        assert_eq!(rules.check(&number), Ok(()));
    }
    let voicemail = rlibphonenumber::PHONE_NUMBER_UTIL.get_example_number_for_type(PhoneNumberType::VoiceMail).unwrap();
    assert_eq!(Phone::parse(&voicemail.to_string()), Err(PhoneError::Kind(Line::Voicemail)));
    assert_eq!(Phone::parse("+881612345678"), Err(PhoneError::NoCountry));
}

/// The library's example of every country's mobile numbers, written in five ways, is accepted as one recipient.
#[test]
fn every_country_s_mobile_number_is_one_recipient_in_any_writing() {
    use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};
    let mut tried = 0;
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        let example = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, PhoneNumberType::Mobile);
        let Ok(example) = example else { continue };
        let phone = Phone::parse(&example.to_string()).unwrap_or_else(|error| panic!("{region}: {error}"));
        // The library's example for Gabon dates from before 2019.
        assert!(phone.e164() == example.to_string() || phone.country() == "GA", "{region}");
        let digits = &phone.e164()[1..];
        let formatted = example.format_as(PhoneNumberFormat::International).into_owned();
        let address = example.format_as(PhoneNumberFormat::RFC3966).into_owned();
        for input in
            [formatted, address, format!("00{digits}"), format!("\u{202a}+{digits}\u{202c}"), format!("{example}")]
        {
            assert_eq!(Phone::parse(&input).as_ref(), Ok(&phone), "{region}: {input}");
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn a_prefix_in_a_former_form_fits_numbers_of_today() {
    for (prefix, today) in [
        ("+62811", "+62811"),
        ("+1", "+1"),
        ("+52155", "+5255"),
        ("+5255", "+5255"),
        ("+5411", "+54911"),
        ("+54911", "+54911"),
        ("+54", "+54"),
        ("+55118", "+551198"),
        ("+55119", "+55119"),
        ("+4407400", "+447400"),
        ("+39347", "+39347"),
        ("+3906", "+3906"),
        ("+22507", "+22507"),
    ] {
        assert_eq!(canonical_prefix(prefix), today);
    }
}

#[test]
fn a_sender_keeps_the_form_that_its_provider_knows() {
    for (input, sender) in [
        ("+44 7400 123456", Some("+447400123456")),
        ("+541123456789", Some("+541123456789")),
        ("+5215512345678", Some("+5215512345678")),
        ("+442079460000", Some("+442079460000")),
        ("7400123456", None),
        ("+999123456789", None),
        ("Example", None),
    ] {
        assert_eq!(Phone::sender(input).as_deref(), sender, "{input}");
    }
}
