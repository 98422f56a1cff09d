//! The languages of the pages.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::LazyLock;

use fixed_decimal::Decimal;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use icu_calendar::Gregorian;
use icu_datetime::FixedCalendarDateTimeFormatter;
use icu_datetime::fieldsets::YMDT;
use icu_datetime::input::{Date, DateTime, Time};
use icu_datetime::options::TimePrecision;
use icu_decimal::DecimalFormatter;
use icu_locale_core::locale;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use unic_langid::langid;

/// A language that the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English. What a browser asks for that is not here gets this.
    #[default]
    English,
    /// German.
    German,
    /// English, written from right to left and backwards: what a translator of a language that is written so would see. It shows whether the pages are
    /// ready for one. A browser gets it that asks for `ar-XB`, as such a pseudo-locale is called; nobody is offered it.
    Mirrored,
}

/// What stands in a text where it has a name: `[("peer", "Bob".into())]`.
pub type Args<'a> = [(&'static str, FluentValue<'a>)];

/// What a language needs, made once.
struct Means {
    texts: FluentBundle<FluentResource>,
    dates: FixedCalendarDateTimeFormatter<Gregorian, YMDT>,
    numbers: DecimalFormatter,
}

static ENGLISH: LazyLock<Means> = LazyLock::new(|| {
    // British English: the day before the month, as nearly everybody who is not asked for American English reads it.
    Means::new(langid!("en"), locale!("en-GB"), include_str!("../texts/en.ftl"))
});
static GERMAN: LazyLock<Means> =
    LazyLock::new(|| Means::new(langid!("de"), locale!("de"), include_str!("../texts/de.ftl")));

static MIRRORED: LazyLock<Means> = LazyLock::new(|| {
    let mut means = Means::new(langid!("ar-XB"), locale!("en-GB"), include_str!("../texts/en.ftl"));
    means.texts.set_transform(Some(mirrored));
    means
});

/// Every word of a text from right to left, which turns its letters round; what stands in its places stays as it is.
fn mirrored(text: &str) -> Cow<'_, str> {
    const OVERRIDE: char = '\u{202e}';
    const END: char = '\u{202c}';
    let mut turned = String::with_capacity(text.len());
    for part in text.split_inclusive(char::is_whitespace) {
        let word = part.trim_end();
        if !word.is_empty() {
            turned.push(OVERRIDE);
            turned.push_str(word);
            turned.push(END);
        }
        turned.push_str(&part[word.len()..]);
    }
    Cow::Owned(turned)
}

impl Means {
    fn new(id: unic_langid::LanguageIdentifier, locale: icu_locale_core::Locale, texts: &str) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        let resource = FluentResource::try_new(texts.to_owned()).map_err(|(_, errors)| errors);
        bundle.add_resource(resource.expect("the texts are in order")).expect("no text stands there twice");
        let fields = YMDT::medium().with_time_precision(TimePrecision::Minute);
        Self {
            texts: bundle,
            dates: FixedCalendarDateTimeFormatter::try_new(locale.clone().into(), fields)
                .expect("the data is compiled in"),
            numbers: DecimalFormatter::try_new(locale.into(), Default::default()).expect("the data is compiled in"),
        }
    }
}

impl Language {
    /// All that a reader is offered.
    pub const ALL: [Language; 2] = [Language::English, Language::German];

    /// Its BCP 47 tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
            Language::Mirrored => "ar-XB",
        }
    }

    /// How it is written, as HTML says it.
    pub const fn direction(self) -> &'static str {
        match self {
            Language::English | Language::German => "ltr",
            Language::Mirrored => "rtl",
        }
    }

    /// What it calls itself.
    pub const fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::German => "Deutsch",
            Language::Mirrored => "mirrored",
        }
    }

    /// The language with a tag, whatever country follows.
    pub fn with_tag(tag: &str) -> Option<Self> {
        if tag.eq_ignore_ascii_case(Self::Mirrored.tag()) {
            return Some(Self::Mirrored);
        }
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The language that a browser likes best of those that are here, by its `Accept-Language` (RFC 9110 §12.5.4).
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::default());
        // A browser names a handful; a longer list is nobody's wish.
        for range in header.split(',').take(32) {
            let mut parts = range.split(';');
            let Some(language) = parts.next().and_then(|tag| Self::with_tag(tag.trim())) else { continue };
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
            if let Some(weight) = weight.filter(|weight: &f32| *weight > best.0) {
                best = (weight, language);
            }
        }
        best.1
    }

    /// A text without places.
    ///
    /// # Panics
    /// There is no such text, or it has places: a fault of the program, which the tests find by drawing every page in every language.
    pub fn text(self, key: &str) -> String {
        self.text_with(key, &[])
    }

    /// A text with its places filled in. What others wrote is isolated, so that its direction does not spill over.
    ///
    /// # Panics
    /// As [`Self::text`].
    pub fn text_with(self, key: &str, args: &Args<'_>) -> String {
        let texts = &self.means().texts;
        let message = texts.get_message(key).and_then(|message| message.value());
        let pattern = message.unwrap_or_else(|| panic!("no text {key} in {}", self.tag()));
        let (mut filled, mut errors) = (FluentArgs::new(), Vec::new());
        args.iter().for_each(|(name, value)| filled.set(*name, value.clone()));
        let text: Cow<'_, str> = texts.format_pattern(pattern, Some(&filled), &mut errors);
        assert!(errors.is_empty(), "text {key} in {}: {errors:?}", self.tag());
        text.into_owned()
    }

    /// A time, in seconds since 1970, in the time zone of this machine: for the reader, and exact for machines.
    pub fn time(self, unix: u64) -> Markup {
        let words = self.date(unix);
        match stamp(unix) {
            Some(stamp) => html! { time datetime=(stamp) title=(stamp) { (words) } },
            None => html! { (words) },
        }
    }

    /// As [`Self::time`], for the middle of a text.
    pub fn date(self, unix: u64) -> String {
        stamp(unix).map_or_else(|| unix.to_string(), |stamp| self.time_in(stamp, TimeZone::system()))
    }

    fn time_in(self, stamp: Timestamp, zone: TimeZone) -> String {
        let local = stamp.to_zoned(zone).datetime();
        let [month, day, hour, minute] =
            [local.month(), local.day(), local.hour(), local.minute()].map(i8::unsigned_abs);
        let date = Date::try_new_gregorian(i32::from(local.year()), month, day);
        let (Ok(date), Ok(time)) = (date, Time::try_new(hour, minute, 0, 0)) else { return stamp.to_string() };
        self.apart(self.means().dates.format(&DateTime { date, time }).to_string())
    }

    /// An amount as [`semper_core::amount::Amount`] writes it (`12.00 EUR`), as the reader does. What is no amount stays as it is.
    pub fn money(self, amount: &str) -> String {
        let read = amount.split_once(' ').and_then(|(number, unit)| Some((Decimal::from_str(number).ok()?, unit)));
        match read {
            Some((number, unit)) => self.apart(format!("{}\u{a0}{unit}", self.means().numbers.format(&number))),
            None => amount.to_owned(),
        }
    }

    /// A number with what belongs to it, so that text from right to left around it does not part them.
    fn apart(self, words: String) -> String {
        if self.direction() == "ltr" { words } else { format!("\u{2066}{words}\u{2069}") }
    }

    /// A size in bytes, in powers of 1024.
    pub fn size(self, bytes: u64) -> String {
        let (mut unit, mut divisor) = ("B", 1_u64);
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            if bytes / divisor < 1024 {
                break;
            }
            (unit, divisor) = (larger, divisor * 1024);
        }
        // One place behind the point, rounded down: what fits is never said to be more than it is.
        let tenths = u128::from(bytes) * 10 / u128::from(divisor);
        let mut number = Decimal::from(tenths);
        number.multiply_pow10(-1);
        if divisor == 1 {
            number = Decimal::from(bytes);
        }
        self.apart(format!("{}\u{a0}{unit}", self.means().numbers.format(&number)))
    }

    fn means(self) -> &'static Means {
        match self {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
            Language::Mirrored => &MIRRORED,
        }
    }
}

fn stamp(unix: u64) -> Option<Timestamp> {
    i64::try_from(unix).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    // A text that one language lacks would be found by its first reader.
    #[test]
    fn both_languages_have_the_same_texts_with_the_same_places() {
        let [english, german] = [include_str!("../texts/en.ftl"), include_str!("../texts/de.ftl")].map(places);
        let differ: Vec<_> = english.symmetric_difference(&german).collect();
        assert!(differ.is_empty() && english.len() > 20, "{differ:?}");
    }

    /// Each text with the names of its places.
    fn places(source: &str) -> BTreeSet<(String, BTreeSet<String>)> {
        let mut texts = BTreeSet::new();
        let mut current: Option<(String, BTreeSet<String>)> = None;
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '[', '*', '}'])) {
                texts.extend(current.replace((key.to_owned(), BTreeSet::new())));
            }
            let named = line
                .split('$')
                .skip(1)
                .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>());
            if let Some((_, places)) = &mut current {
                places.extend(named);
            }
        }
        texts.extend(current);
        texts
    }

    #[test]
    fn a_browser_gets_the_language_that_it_likes_best() {
        let wishes = [
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("en-US,en;q=0.9,de;q=0.8", Language::English),
            ("fr,de;q=0.3,en;q=0.2", Language::German),
            ("fr", Language::English),
            ("", Language::English),
            ("de;q=x,;;,", Language::English),
            ("ar-XB", Language::Mirrored),
            ("ar", Language::English),
        ];
        for (header, language) in wishes {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    // Names and amounts must not be turned round with the words around them.
    #[test]
    fn what_stands_in_a_mirrored_text_is_not_turned_round() {
        assert_eq!(mirrored("a b: "), "\u{202e}a\u{202c} \u{202e}b:\u{202c} ");
        let text = Language::Mirrored.text_with("somebody", &[("key", "0a1b".into())]);
        assert!(text.contains("\u{2068}0a1b\u{2069}") && text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn dates_and_amounts_are_written_as_the_reader_writes_them() {
        let (stamp, zone) = (Timestamp::from_second(1_795_325_648).unwrap(), TimeZone::get("Europe/Zurich").unwrap());
        assert_eq!(Language::English.time_in(stamp, zone.clone()), "22 Nov 2026, 06:34");
        assert_eq!(Language::German.time_in(stamp, zone), "22.11.2026, 06:34");
        assert_eq!(Language::German.money("1234567.50 EUR"), "1.234.567,50\u{a0}EUR");
        assert_eq!(Language::English.money("1234567.50 EUR"), "1,234,567.50\u{a0}EUR");
        assert_eq!(Language::English.money("21 sat"), "21\u{a0}sat");
        assert_eq!(Language::English.money("nothing"), "nothing");
        assert_eq!(Language::Mirrored.money("21.50 EUR"), "\u{2066}21.50\u{a0}EUR\u{2069}");
        assert_eq!(Language::German.size(1536), "1,5\u{a0}KiB");
        assert_eq!(Language::English.size(1023), "1,023\u{a0}B");
        assert_eq!(Language::English.size(1 << 30), "1.0\u{a0}GiB");
    }
}
