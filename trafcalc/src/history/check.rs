//! `trafcalc history check`: whether the book is sound, and each closed month is unchanged.

use std::fmt::Write as _;

use super::close::said;
use super::{BookOf, HistoryError};
use crate::book::{Closed, Reader};

/// The text for the user, and whether all is well. Reads the whole book, which takes seconds for a large one.
pub fn check(book: &BookOf) -> Result<(String, bool), HistoryError> {
    let path = book.path()?;
    let reader = Reader::open(&path)?;
    let damage = reader.damage()?;
    let mut told = format!("book {}: ", path.display());
    told += if damage.is_empty() { "sound\n" } else { "damaged\n" };
    told.extend(damage.iter().map(|damage| format!("  {damage}\n")));
    let mut is_well = damage.is_empty();
    for closed in reader.closed()? {
        let hash = reader.hash(&closed)?;
        let Closed { sent, received, sha256, .. } = &closed;
        let month = said(&closed.month, &closed.dates);
        if hash == *sha256 {
            let _ =
                writeln!(told, "{month}: as it was closed, {sent} bytes sent, {received} received; SHA-256 {sha256}");
        } else {
            is_well = false;
            let _ = writeln!(told, "{month}: NOT as it was closed: its SHA-256 is {hash}, and was {sha256}");
        }
    }
    Ok((told, is_well))
}
