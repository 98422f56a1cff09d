//! Files that people can mail and paste: PEM (RFC 7468), in exactly one form per content.

use pem::{EncodeConfig, LineEnding, Pem};

/// Label of a contact card.
pub const CONTACT: &str = "SEMPER CONTACT";
/// Label of a credential with the keys of its issuer.
pub const CREDENTIAL: &str = "SEMPER CREDENTIAL";
/// Label of a cover with the keys of its guarantor and what opens it.
pub const COVER: &str = "SEMPER COVER";
/// Label of a liability agreement with the keys of the customer.
pub const LIABILITY_AGREEMENT: &str = "SEMPER LIABILITY AGREEMENT";
/// Label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a certification request.
pub const REQUEST: &str = "CERTIFICATE REQUEST";
/// Label of a certificate revocation list.
pub const CRL: &str = "X509 CRL";

/// Why an armoured text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmourError {
    /// The text is longer than the reader accepts.
    #[error("the file is larger than the limit of {limit} bytes")]
    Oversized {
        /// The most that is accepted, in bytes of text.
        limit: usize,
    },
    /// The text is not armoured, is damaged, or holds something besides the armoured data.
    #[error("not in the form -----BEGIN {label}----- … -----END {label}-----, with nothing else in the file")]
    Malformed {
        /// The label that is needed.
        label: &'static str,
    },
    /// Another number of items than the reader accepts.
    #[error("expected {least} to {most} items, found {found}")]
    Count {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
        /// Found.
        found: usize,
    },
}

/// Armours `data` under `label`: lines of 64 characters, each ended by a line feed.
pub fn encode(label: &str, data: &[u8]) -> String {
    pem::encode_config(&Pem::new(label, data), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// Reads one armoured item; `bytes_max` bounds the text.
///
/// Line ends may be LF or CR LF and white space may stand before and after, as mail programs leave it; nothing else may differ
/// from what [`encode`] writes.
///
/// # Errors
/// [`ArmourError`].
pub fn decode(label: &'static str, text: &str, bytes_max: usize) -> Result<Vec<u8>, ArmourError> {
    let mut items = decode_all(label, text, bytes_max, 1)?;
    Ok(items.remove(0))
}

/// Reads one to `items_max` armoured items that follow each other, such as a certificate and those of its issuers.
///
/// # Errors
/// [`ArmourError`].
pub fn decode_all(
    label: &'static str,
    text: &str,
    bytes_max: usize,
    items_max: usize,
) -> Result<Vec<Vec<u8>>, ArmourError> {
    if text.len() > bytes_max {
        return Err(ArmourError::Oversized { limit: bytes_max });
    }
    let malformed = ArmourError::Malformed { label };
    let text = text.replace("\r\n", "\n");
    let items = pem::parse_many(&text).map_err(|_| malformed.clone())?;
    let found = items.len();
    if found == 0 {
        return Err(malformed);
    }
    if found > items_max {
        return Err(ArmourError::Count { least: 1, most: items_max, found });
    }
    let items: Vec<Vec<u8>> = items.into_iter().map(Pem::into_contents).collect();
    let again: String = items.iter().map(|data| encode(label, data)).collect();
    if again.trim() == text.trim() { Ok(items) } else { Err(malformed) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Two texts for one content, or content hidden beside it, would let two people compare different files that "are the same".
    #[test]
    fn there_is_one_form() {
        let text = encode(CONTACT, &[7; 100]);
        assert_eq!(decode(CONTACT, &text, 4096).unwrap(), [7; 100]);
        assert_eq!(decode(CONTACT, &format!("\n {}\n\n", text.replace('\n', "\r\n")), 4096).unwrap(), [7; 100]);
        assert_eq!(decode(CONTACT, &text, 100), Err(ArmourError::Oversized { limit: 100 }));
        let twice = format!("{text}{text}");
        assert_eq!(decode(CONTACT, &twice, 4096), Err(ArmourError::Count { least: 1, most: 1, found: 2 }));
        assert_eq!(decode_all(CONTACT, &twice, 4096, 2).unwrap().len(), 2);
        for bad in [
            text.replace("CONTACT", "CERTIFICATE"),
            format!("note to the reader\n{text}"),
            format!("{text}and more"),
            text.replacen("\nBwc", "\nComment: x\n\nBwc", 1),
            text.replacen("Bwc", "B wc", 1),
            text.replacen("Bwc", "Bw\nc", 1),
            String::new(),
        ] {
            assert_eq!(decode(CONTACT, &bad, 4096), Err(ArmourError::Malformed { label: CONTACT }), "{bad}");
        }
    }
}
