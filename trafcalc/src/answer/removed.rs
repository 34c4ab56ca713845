//! The error if the rows that a question needs were removed from the book. Pure.

use super::cover::{self, Piece, Zoned};
use super::error::AnswerError;
use super::times::{Times, moment, name};
use super::{Each, Question};
use crate::book::{Contents, Tier};

pub(super) fn error(
    piece: &Piece,
    question: &Question,
    contents: &Contents,
    times: &Times,
    lives: &[Zoned],
) -> AnswerError {
    let kept_from_s = if piece.tier == Tier::Fine { contents.fine_from_s } else { contents.hours_from_s };
    let other = cover::foreign(lives, &times.zone)
        .find(|life| life.seconds.contains(&piece.seconds.start.max(contents.begun_s)));
    let said = |second| moment(second, &times.zone);
    AnswerError::Removed {
        from: said(piece.seconds.start.max(contents.begun_s)),
        to: said(piece.seconds.end.min(kept_from_s)),
        needs: needs(piece.tier, question, other),
        kept_from: said(kept_from_s),
        help: help(question, other),
    }
}

fn needs(tier: Tier, question: &Question, other: Option<&Zoned>) -> String {
    let rows = if tier == Tier::Fine { "rows of five minutes" } else { "rows of hours" };
    match other {
        _ if question.percentile.is_some() => format!("a percentile needs {rows}"),
        Some(other) if other.zone.is_unknown() => {
            format!("the zone of its hours and days is not known, so this needs {rows}")
        }
        Some(other) if tier == Tier::Fine => {
            format!("its hours and days are those of {}, so this needs {rows}", zone_name(other))
        }
        Some(other) => format!("its days are those of {}, so this needs {rows}", zone_name(other)),
        None => format!("this needs {rows}"),
    }
}

fn help(question: &Question, other: Option<&Zoned>) -> String {
    match other {
        _ if question.percentile.is_some() => "ask for a later period, or without --percentile".to_owned(),
        Some(other) if other.zone.is_unknown() => "ask for a later period".to_owned(),
        Some(other) => format!("ask for a later period, or with --zone {}", zone_name(other)),
        None if question.each == Some(Each::Hour) => "ask for --each day, or for a later period".to_owned(),
        None => "ask for a period that begins and ends with whole hours, or whole days where it is older".to_owned(),
    }
}

fn zone_name(life: &Zoned) -> String {
    name(&life.zone, life.seconds.start)
}
