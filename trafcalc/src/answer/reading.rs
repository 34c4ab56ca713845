//! Reads the rows that make up a period, and sums them.

use std::ops::Range;

use super::cover::{self, Piece, Usable};
use super::error::AnswerError;
use super::parts::{Each, Parts};
use super::percentile::{Cells, Samples};
use super::rows::{Figures, Rank, Ranking, Row, Sums};
use super::times::Times;
use super::whose::Groups;
use super::{Question, removed};
use crate::book::{AccountKey, BookError, Contents, Correction, Reader, Tier, day_row};
use crate::capture::Bytes;

/// The pieces of the book that answer a question.
pub(super) struct Pieces {
    /// The rows for sums: the longest rows that fit.
    sums: Vec<Piece>,
    /// The same time in five-minute rows, if rates are asked for.
    rates: Vec<Piece>,
}

impl Pieces {
    pub fn of(question: &Question, contents: &Contents, times: &Times) -> Result<Self, AnswerError> {
        let lives = cover::lives(contents);
        let usable = Usable::new(&lives, &times.zone);
        let pieces = |coarsest| {
            let pieces = cover::pieces(&times.period, &times.zone, coarsest, &usable, contents);
            match cover::removed(&pieces, contents) {
                Some(piece) => Err(removed::error(piece, question, contents, times, &lives)),
                None => Ok(pieces),
            }
        };
        let rates = if question.percentile.is_some() { pieces(Tier::Fine)? } else { Vec::new() };
        Ok(Self { sums: pieces(question.each.map_or(Tier::Day, Each::coarsest))?, rates })
    }
}

/// The figures of an answer.
pub(super) struct Read {
    pub rows: Vec<Row>,
    pub total: Figures,
}

/// The input of reading.
pub(super) struct Reading<'a> {
    pub book: &'a Reader,
    pub question: &'a Question,
    pub accounts: &'a [(i64, AccountKey)],
    pub pieces: &'a Pieces,
    pub times: &'a Times,
    pub parts: Parts<'a>,
    /// The corrections that are in the figures.
    pub corrections: &'a [Correction],
}

impl Reading<'_> {
    pub fn read(mut self) -> Result<Read, BookError> {
        let groups = Groups::new(self.accounts, &self.question.by, &self.question.only);
        let mut sums = Sums::new(&groups);
        self.each_row(&self.pieces.sums, &groups, |row| sums.add(row.part.start, row.place, row.bytes))?;
        sums.close();
        for correction in self.corrections {
            if let Some(place) = groups.places().of(correction.account) {
                let day = day_row(correction.booked, &self.times.zone);
                sums.correct(self.parts.of(day.start).start, place, correction.change);
            }
        }
        let ranking = sums.ranking(&groups, self.question.top);
        let mut rows = sums.rows(&groups, &ranking, &mut self.parts);
        let mut total = sums.total();
        if let Some(percent) = self.question.percentile {
            self.add_rates(percent, &groups, &ranking, &mut rows, &mut total)?;
        }
        Ok(Read { rows: rows.into_iter().map(|(_, row)| row).collect(), total })
    }

    fn each_row(&mut self, pieces: &[Piece], groups: &Groups, mut each: impl FnMut(BookRow)) -> Result<(), BookError> {
        let (parts, mut places) = (&mut self.parts, groups.places());
        for Piece { tier, seconds } in pieces {
            self.book.rows(*tier, seconds, &self.times.zone, |start_s, account, bytes| {
                if let Some(place) = places.of(account) {
                    each(BookRow { start_s, part: parts.of(start_s), place, bytes });
                }
            })?;
        }
        Ok(())
    }

    /// Reads the five-minute rows in a second pass: which samples belong together is only known after the ranking.
    fn add_rates(
        &mut self,
        percent: u8,
        groups: &Groups,
        ranking: &Ranking,
        rows: &mut [(Rank, Row)],
        total: &mut Figures,
    ) -> Result<(), BookError> {
        let ranks = ranking.ranks(groups);
        let mut cells = Cells::new(percent, ranks.iter().flatten().count());
        let mut all = Samples::new(percent, &self.times.period);
        self.each_row(&self.pieces.rates, groups, |row| {
            cells.add(&row.part, ranks[row.place], row.start_s, row.bytes);
            all.add(row.start_s, row.bytes);
        })?;
        let mut cells = cells.close();
        for (rank, row) in rows {
            let samples = cells.remove(&(row.part.start, *rank)).unwrap_or_default();
            row.figures.rates = Some(samples.rates(percent, self.times.slots(&row.part)));
        }
        total.rates = Some(all.rates(percent, self.times.slots(&self.times.period)));
        Ok(())
    }
}

/// A row of the book, with its part and its index in [`Groups::whose`].
struct BookRow {
    start_s: i64,
    part: Range<i64>,
    place: usize,
    bytes: Bytes,
}
