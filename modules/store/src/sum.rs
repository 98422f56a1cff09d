//! Sums over rows: SQLite checks the shape of its pages, but would hand out a value in which a bit has flipped.
//!
//! A sum guards against faulty disks and memory, not against people: who can write the file can write the sums.

use sha2::{Digest as _, Sha256};

/// The first 8 bytes of SHA-256 over the table's name and the columns, each with its length before it.
pub(crate) fn row_sum(table: &str, columns: &[&[u8]]) -> i64 {
    let mut hasher = Sha256::new();
    for part in std::iter::once(table.as_bytes()).chain(columns.iter().copied()) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::row_sum;

    // If bytes could wander from one column to the next, a damaged length would go unseen.
    #[test]
    fn a_sum_depends_on_the_table_and_on_where_columns_end() {
        let sums = [row_sum("a", &[b"xy", b"z"]), row_sum("a", &[b"x", b"yz"]), row_sum("b", &[b"xy", b"z"])];
        assert!(sums[0] != sums[1] && sums[0] != sums[2] && sums[1] != sums[2]);
        assert_eq!(row_sum("a", &[b"xy", b"z"]), sums[0]);
    }
}
