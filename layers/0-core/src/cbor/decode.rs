//! The strict decoder. Every refusal carries the offset of the item that is wrong.

use unicode_normalization::{IsNormalized, is_nfc, is_nfc_quick};

use super::{DEPTH_MAX, DecodeError, Map, Problem, Value};

/// Decodes exactly one deterministic CBOR item of at most `bytes_max` bytes.
///
/// What is accepted encodes back to the same bytes. Work and memory are linear in the input: a length that is claimed but not
/// there is refused before anything is allocated for it.
///
/// # Errors
/// [`DecodeError`] with the offset of the first item that is not deterministic CBOR, is cut off, too deep, or too large.
pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Value, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::at(0, Problem::Oversized { limit: bytes_max }));
    }
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.item(0)?;
    if reader.at != bytes.len() {
        return Err(DecodeError::at(reader.at, Problem::Trailing));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn item(&mut self, depth: usize) -> Result<Value, DecodeError> {
        let start = self.at;
        let (major, argument) = self.head()?;
        if (4..=6).contains(&major) && depth >= DEPTH_MAX {
            return Err(DecodeError::at(start, Problem::TooDeep));
        }
        Ok(match major {
            0 => Value::Uint(argument),
            1 => Value::Nint(argument),
            2 => Value::Bytes(self.take(start, argument)?.to_vec()),
            3 => {
                let text = std::str::from_utf8(self.take(start, argument)?)
                    .map_err(|_| DecodeError::at(start, Problem::NotUtf8))?;
                let nfc = || match is_nfc_quick(text.chars()) {
                    IsNormalized::Yes => true,
                    IsNormalized::No => false,
                    IsNormalized::Maybe => is_nfc(text),
                };
                if !text.is_ascii() && !nfc() {
                    return Err(DecodeError::at(start, Problem::NotNfc));
                }
                Value::Text(text.to_owned())
            }
            4 => {
                let count = self.count(start, argument, 1)?;
                let mut items = Vec::with_capacity(count.min(1024));
                for _ in 0..count {
                    items.push(self.item(depth + 1)?);
                }
                Value::Array(items)
            }
            5 => {
                let count = self.count(start, argument, 2)?;
                let mut map = Map::new();
                for _ in 0..count {
                    let key_at = self.at;
                    let key = self.item(depth + 1)?;
                    let value = self.item(depth + 1)?;
                    map.push_in_order(key, value).map_err(|order| {
                        DecodeError::at(key_at, if order.is_eq() { Problem::DuplicateKey } else { Problem::KeyOrder })
                    })?;
                }
                Value::Map(map)
            }
            6 => Value::Tag(argument, Box::new(self.item(depth + 1)?)),
            _ => match argument {
                20 => Value::Bool(false),
                21 => Value::Bool(true),
                22 => Value::Null,
                _ => return Err(DecodeError::at(start, Problem::Unsupported)),
            },
        })
    }

    /// Reads a major type and its argument; for major type 7 the argument is the simple value.
    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let start = self.at;
        let first = *self.bytes.get(start).ok_or(DecodeError::at(start, Problem::Truncated))?;
        self.at += 1;
        let (major, info) = (first >> 5, first & 0x1f);
        let width = match info {
            0..=23 => return Ok((major, info.into())),
            _ if major == 7 => return Err(DecodeError::at(start, Problem::Unsupported)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Err(DecodeError::at(start, Problem::Indefinite)),
            _ => return Err(DecodeError::at(start, Problem::Unsupported)),
        };
        let digits = self.take(start, width)?;
        let argument = digits.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let shortest = match width {
            1 => argument > 23,
            2 => argument > 0xff,
            4 => argument > 0xffff,
            _ => argument > 0xffff_ffff,
        };
        if !shortest {
            return Err(DecodeError::at(start, Problem::NotShortest));
        }
        Ok((major, argument))
    }

    fn take(&mut self, start: usize, length: u64) -> Result<&[u8], DecodeError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or(DecodeError::at(start, Problem::Truncated))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// The number of items of an array or map, once there are at least as many bytes left as that many items need.
    fn count(&self, start: usize, count: u64, bytes_each: usize) -> Result<usize, DecodeError> {
        let left = self.bytes.len() - self.at;
        usize::try_from(count)
            .ok()
            .filter(|count| count.checked_mul(bytes_each).is_some_and(|least| least <= left))
            .ok_or(DecodeError::at(start, Problem::Truncated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(hex: &str) -> Problem {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        decode(&bytes, 1 << 16).expect_err(hex).problem().clone()
    }

    // Each rule of the deterministic encoding has an input that breaks just that rule.
    #[test]
    fn every_rule_has_an_input_that_breaks_it() {
        assert_eq!(refuse(""), Problem::Truncated);
        assert_eq!(refuse("19 01".replace(' ', "").as_str()), Problem::Truncated);
        assert_eq!(refuse("1817"), Problem::NotShortest);
        assert_eq!(refuse("1900ff"), Problem::NotShortest);
        assert_eq!(refuse("1a0000ffff"), Problem::NotShortest);
        assert_eq!(refuse("1b00000000ffffffff"), Problem::NotShortest);
        assert_eq!(refuse("5f4101ff"), Problem::Indefinite);
        assert_eq!(refuse("9fff"), Problem::Indefinite);
        assert_eq!(refuse("f93c00"), Problem::Unsupported);
        assert_eq!(refuse("f7"), Problem::Unsupported);
        assert_eq!(refuse("f818"), Problem::Unsupported);
        assert_eq!(refuse("a201000100"), Problem::DuplicateKey);
        assert_eq!(refuse("a202000100"), Problem::KeyOrder);
        assert_eq!(refuse("61ff"), Problem::NotUtf8);
        assert_eq!(refuse("6365cc81"), Problem::NotNfc);
        assert_eq!(refuse("0000"), Problem::Trailing);
        assert_eq!(refuse("9b7fffffffffffffff"), Problem::Truncated);
        assert_eq!(refuse("bb7fffffffffffffff"), Problem::Truncated);
        assert_eq!(refuse("5b7fffffffffffffff"), Problem::Truncated);
        assert_eq!(refuse(&format!("{}00", "81".repeat(17))), Problem::TooDeep);
        assert_eq!(decode(&[0; 3], 2).unwrap_err().problem(), &Problem::Oversized { limit: 2 });
    }

    #[test]
    fn sixteen_levels_are_enough_and_accepted() {
        let bytes = [vec![0x81; DEPTH_MAX], vec![0]].concat();
        assert_eq!(decode(&bytes, 64).unwrap().encode(), bytes);
    }
}
