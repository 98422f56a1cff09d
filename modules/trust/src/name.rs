//! The names that stand in certificates: what is allowed, and how a key set is named.

use semper_core::ids::KeySetId;
use semper_core::text;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// Longest common name, in characters (`ub-common-name` of RFC 5280).
pub const NAME_CHARS_MAX: usize = 64;
/// Longest e-mail address, in bytes (RFC 5321 §4.5.3.1.3, without the brackets).
const EMAIL_BYTES_MAX: usize = 254;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
const KEY_SET_URI: &str = "urn:semper:keyset:";

/// Why a name in a request, a certificate or a card was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, longer than [`NAME_CHARS_MAX`] characters, or not shown as it stands (control or invisible characters, a line break,
    /// marks that turn the reading direction, a space at an end).
    #[error("the name is empty, too long, or holds characters that are not shown as they are")]
    NotPlain,
    /// The subject is not exactly one common name.
    #[error("the subject must be one common name and nothing else that is read as one")]
    NotOneName,
    /// Not an e-mail address of printable ASCII.
    #[error("not an e-mail address")]
    BadEmail,
    /// Not an `http` or `https` URL of printable ASCII.
    #[error("not an http or https url")]
    BadUrl,
    /// No `urn:semper:keyset:` URI.
    #[error("no key set is named")]
    NoKeySet,
    /// Several key sets are named.
    #[error("more than one key set is named")]
    ManyKeySets,
    /// A URI that claims to name a key set but does not have the one form for it.
    #[error("a key set is not named by urn:semper:keyset: and 64 lower-case hexadecimal digits")]
    BadKeySetUri,
}

/// The URI that names a key set in a subject alternative name: `urn:semper:keyset:` and 64 lower-case hexadecimal digits.
pub fn key_set_uri(key_set: KeySetId) -> String {
    format!("{KEY_SET_URI}{key_set}")
}

/// What the alternative names of a certificate or request say.
pub(crate) struct AltNames {
    pub(crate) key_set: KeySetId,
    pub(crate) emails: Vec<String>,
    /// How many names there are of kinds that this module does not read.
    pub(crate) others: usize,
}

/// Reads alternative names; exactly one of them must name a key set.
pub(crate) fn read_alt_names(names: &[GeneralName]) -> Result<AltNames, NameError> {
    let mut key_set = None;
    let mut emails = Vec::new();
    let mut others = 0;
    for name in names {
        match name {
            GeneralName::UniformResourceIdentifier(uri) if claims_key_set(uri.as_str()) => {
                if key_set.replace(read_key_set_uri(uri.as_str())?).is_some() {
                    return Err(NameError::ManyKeySets);
                }
            }
            GeneralName::Rfc822Name(email) => emails.push(check_email(email.as_str())?.to_owned()),
            _ => others += 1,
        }
    }
    Ok(AltNames { key_set: key_set.ok_or(NameError::NoKeySet)?, emails, others })
}

/// Whether some reader might take a URI as the name of a key set: URN namespaces are compared without case (RFC 8141).
fn claims_key_set(uri: &str) -> bool {
    uri.get(..KEY_SET_URI.len()).is_some_and(|start| start.eq_ignore_ascii_case(KEY_SET_URI))
}

fn read_key_set_uri(uri: &str) -> Result<KeySetId, NameError> {
    uri.strip_prefix(KEY_SET_URI)
        .and_then(KeySetId::parse)
        .filter(|key_set| key_set_uri(*key_set) == uri)
        .ok_or(NameError::BadKeySetUri)
}

/// The one common name of a subject. Further attributes (country, organisation) may stand beside it.
pub(crate) fn read_common_name(subject: &Name) -> Result<String, NameError> {
    let common_names = subject.iter().filter(|attribute| attribute.oid == x509_cert::der::oid::db::rfc4519::CN).count();
    if common_names != 1 {
        return Err(NameError::NotOneName);
    }
    let name = subject.common_name().map_err(|_| NameError::NotOneName)?.ok_or(NameError::NotOneName)?;
    check_name(&name.value()).map(str::to_owned)
}

/// Refuses a name that could deceive its reader.
pub(crate) fn check_name(name: &str) -> Result<&str, NameError> {
    if text::is_plain_line(name) && name.chars().count() <= NAME_CHARS_MAX {
        Ok(name)
    } else {
        Err(NameError::NotPlain)
    }
}

/// Refuses what is not an address of the form `local@domain` in printable ASCII. Whether mail arrives is not known.
pub(crate) fn check_email(email: &str) -> Result<&str, NameError> {
    let printable = email.len() <= EMAIL_BYTES_MAX && email.bytes().all(|b| b.is_ascii_graphic());
    let parts = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !email.contains(['<', '>', ',', ';', ':', '"'])
    });
    if printable && parts { Ok(email) } else { Err(NameError::BadEmail) }
}

/// Refuses what is not an `http://` or `https://` URL with a host, in printable ASCII.
pub(crate) fn check_url(url: &str) -> Result<&str, NameError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let printable = url.len() <= URL_BYTES_MAX && url.bytes().all(|b| b.is_ascii_graphic());
    if printable && host.is_some_and(|host| !host.is_empty()) { Ok(url) } else { Err(NameError::BadUrl) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use semper_core::domain;
    use semper_core::hash::Digest;
    use x509_cert::der::asn1::Ia5String;

    use super::*;

    fn uri(text: &str) -> GeneralName {
        GeneralName::UniformResourceIdentifier(Ia5String::new(text).unwrap())
    }

    // A second key set, or one in a spelling that another reader takes for a key set, would let one certificate mean two parties.
    #[test]
    fn exactly_one_key_set_in_one_spelling() {
        let id = KeySetId::from_digest(Digest::of(domain::KEY_SET, b"alice"));
        let good = key_set_uri(id);
        assert_eq!(read_alt_names(&[uri("https://example.org"), uri(&good)]).unwrap().key_set, id);
        for (names, error) in [
            (vec![], NameError::NoKeySet),
            (vec![uri("urn:semper:keysets:00")], NameError::NoKeySet),
            (vec![uri(&good), uri(&good)], NameError::ManyKeySets),
            (vec![uri(&good), uri("URN:semper:keyset:00")], NameError::BadKeySetUri),
            (vec![uri(&good.to_uppercase())], NameError::BadKeySetUri),
            (vec![uri(&format!("{good}0"))], NameError::BadKeySetUri),
            (vec![uri(&good[..good.len() - 1])], NameError::BadKeySetUri),
            (vec![uri(&format!("{good}#x"))], NameError::BadKeySetUri),
        ] {
            assert_eq!(read_alt_names(&names).err(), Some(error), "{names:?}");
        }
    }

    #[test]
    fn names_addresses_and_urls_that_deceive_are_refused() {
        check_name("Käthe's Bücher & Söhne (Zürich)").unwrap();
        check_name(&"ä".repeat(64)).unwrap();
        for bad in ["", " a", "a ", "a\nb", "a\0b", "a\u{7f}", "a\u{202e}b", "a\u{200b}b", "a\\b", &"a".repeat(65)] {
            assert_eq!(check_name(bad), Err(NameError::NotPlain), "{bad:?}");
        }
        check_email("alice+shop@example.org").unwrap();
        for bad in ["", "@example.org", "alice@", "a@b@c", "a b@c", "ä@c", "Alice <a@b>", "a@b,c@d"] {
            assert_eq!(check_email(bad), Err(NameError::BadEmail), "{bad:?}");
        }
        check_url("http://abc.onion/crl").unwrap();
        for bad in ["", "ftp://a", "http://", "http:///x", "https://a b", "https://ä", "javascript:x"] {
            assert_eq!(check_url(bad), Err(NameError::BadUrl), "{bad:?}");
        }
    }
}
