//! Hashes as words: what people read to each other, and what is drawn at random for them to recognise.
//!
//! The words are the 2048 of the English list of BIP 39, which no two begin with the same four letters; readers of every language see
//! the same ones. They are words to compare, not a language to understand.

use bip39::Language::English;
use semper_core::hash::Digest;

/// Words of a hash.
const CHECK_WORDS: usize = 6;

/// Six words that two people compare to know that they are shown the same thing: the first 66 bits of a hash.
///
/// To make another text with the words of a given one takes 2^66 tries. Whoever writes both texts, and may try as many of each as they like,
/// needs 2^33 of them for two that agree: where the one who wrote a contract is the danger, and not somebody between, compare the whole identifier.
pub fn check_words(hash: &Digest) -> String {
    let bits = hash.as_bytes().iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u16> = bits.take(CHECK_WORDS * 11).map(u16::from).collect();
    let numbers = bits.chunks_exact(11).map(|bits| bits.iter().fold(0, |number, bit| number << 1 | bit));
    numbers.map(word).collect::<Vec<_>>().join(" ")
}

/// A phrase of random words: two bytes make a word, of which 11 bits count.
pub fn phrase(random: &[u8]) -> String {
    let numbers = random.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]) % 2048);
    numbers.map(word).collect::<Vec<_>>().join(" ")
}

fn word(number: u16) -> &'static str {
    English.word_list()[usize::from(number % 2048)]
}

#[cfg(test)]
mod tests {
    use super::*;

    // The words are in users' notes and on others' screens: they may never change.
    #[test]
    fn words_are_the_same_everywhere() {
        assert_eq!(check_words(&Digest::from_array([0; 32])), "abandon abandon abandon abandon abandon abandon");
        assert_eq!(check_words(&Digest::from_array([0xff; 32])), "zoo zoo zoo zoo zoo zoo");
        let mut counted = [0; 32];
        (0_u8..).zip(&mut counted).for_each(|(number, byte)| *byte = number);
        // As BIP 39 has it: the words of the entropy 000102…0f begin so.
        assert_eq!(check_words(&Digest::from_array(counted)), "abandon amount liar amount expire adjust");
        assert_eq!(phrase(&[0, 0, 0xff, 0xff, 8, 1]), "abandon zoo ability");
    }

    // A bit that did not count would let two hashes pass for one.
    #[test]
    fn every_one_of_66_bits_counts() {
        let plain = check_words(&Digest::from_array([0; 32]));
        for bit in 0..67 {
            let mut hash = [0; 32];
            hash[bit / 8] = 0x80 >> (bit % 8);
            assert_eq!(check_words(&Digest::from_array(hash)) != plain, bit < 66, "bit {bit}");
        }
    }
}
