//! The picture of `trafcalc top` in the documents is drawn by the code: a made-up busy host, the same on every machine.
//!
//! After a change of the screen, regenerate it: `TRAFCALC_WRITE_PICTURE=1 cargo test -p trafcalc --lib picture`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ratatui::buffer::Cell;
use serde_json::json;

use super::super::super::model::MINUTE;
use super::super::super::testing::{booked, hello, sample, user};
use super::*;

const SIZE: (u16, u16) = (100, 17);
/// A cell of the screen, in pixels.
const CELL: (u16, u16) = (8, 18);
const MARGIN: u16 = 12;
const BACKGROUND: &str = "#16191d";
const TEXT: &str = "#d8dee9";

/// A user of the made-up host: name, most bytes sent and received per second, bytes of today and of the month.
struct Busy(&'static str, u64, u64, u64, u64);

const HOST: [Busy; 9] = [
    Busy("www-data", 84_200_000, 3_120_000, 1_930_000_000_000, 41_700_000_000_000),
    Busy("alice", 21_600_000, 912_000, 148_000_000_000, 2_310_000_000_000),
    Busy("backup", 310_000, 15_800_000, 402_000_000_000, 9_840_000_000_000),
    Busy("postgres", 4_410_000, 1_070_000, 96_300_000_000, 1_760_000_000_000),
    Busy("nextcloud", 1_280_000, 2_650_000, 31_200_000_000, 874_000_000_000),
    Busy("bob", 98_400, 1_410_000, 12_600_000_000, 96_100_000_000),
    Busy("git", 47_300, 8_910, 2_140_000_000, 58_800_000_000),
    Busy("monitoring", 5_120, 1_930, 187_000_000, 4_520_000_000),
    Busy("carol", 0, 0, 38_400_000, 1_150_000_000),
];

/// How busy a user is in a second, in percent: some all the time, some in bursts.
fn share(number: u64, second: u64) -> u64 {
    let wave = |length: u64| (second * 100 / length) % 200;
    match number {
        0 => 62 + (second * 37) % 39,
        1 => 100_u64.saturating_sub(wave(23).abs_diff(100)).max(4),
        2 if second < 20 => 0,
        2 => 88 + (second * 7) % 13,
        3 => 30 + (second * second * 13) % 71,
        5 => {
            if second % 11 < 3 {
                100
            } else {
                6
            }
        }
        7 => {
            if second.is_multiple_of(10) {
                100
            } else {
                0
            }
        }
        _ => (second * (number + 3) * 29) % 101,
    }
}

fn busy_host() -> Model {
    let mut model = Model::new(hello(&["user"]));
    let mut totals = [[0_u64; 2]; HOST.len()];
    for second in 0..=MINUTE as u64 {
        let accounts =
            HOST.iter().zip(&mut totals).zip(0..).map(|((Busy(name, sent, received, ..), total), number)| {
                // The last second is at 100 %, so that the rates are those above.
                let share = if second == MINUTE as u64 { 100 } else { share(number, second) };
                *total = [total[0] + sent * share / 100, total[1] + received * share / 100];
                user(1000 + u32::try_from(number).unwrap(), name, total[0], total[1])
            });
        let accounts: Vec<_> = accounts.collect();
        let days =
            HOST.iter().zip(1000..).map(|(Busy(name, _, _, today, month), uid)| booked(uid, name, *today, *month));
        let days: Vec<_> = if second == 0 { days.collect() } else { Vec::new() };
        model.take(sample(f64::from(u32::try_from(second).unwrap()), json!(accounts), json!(days)));
    }
    model
}

/// A screen as SVG.
fn svg(buffer: &Buffer) -> String {
    let (width, height) = SIZE;
    let (cell_width, cell_height) = CELL;
    let [drawn_width, drawn_height] = [width * cell_width + 2 * MARGIN, height * cell_height + 2 * MARGIN];
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {drawn_width} {drawn_height}\" width=\"{drawn_width}\" \
         height=\"{drawn_height}\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for y in 0..height {
        let mut x = 0;
        while x < width {
            let cell = &buffer[(x, y)];
            let length = (x..width).take_while(|at| is_like(cell, &buffer[(*at, y)])).count();
            let length = u16::try_from(length).unwrap();
            let symbols: String = (x..x + length).map(|at| buffer[(at, y)].symbol()).collect();
            run(&mut text, (x, y), &symbols, cell);
            x += length;
        }
    }
    text + "</svg>\n"
}

fn is_like(one: &Cell, other: &Cell) -> bool {
    (one.fg, one.modifier) == (other.fg, other.modifier)
}

/// Cells beside each other that look alike. Bars are rectangles, because fonts differ in how they draw them.
fn run(text: &mut String, (x, y): (u16, u16), symbols: &str, cell: &Cell) {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (cell_width, cell_height) = CELL;
    let top = MARGIN + y * cell_height;
    let colour = colour(cell.fg);
    for (at, symbol) in (x..).zip(symbols.chars()) {
        if let Some(eighths) = EIGHTHS.iter().position(|bar| *bar == symbol) {
            let bar = cell_height * (u16::try_from(eighths).unwrap() + 1) / 9;
            let (left, above) = (MARGIN + at * cell_width, top + cell_height - 1 - bar);
            let _ = writeln!(
                text,
                "<rect x=\"{left}\" y=\"{above}\" width=\"{}\" height=\"{bar}\" fill=\"{colour}\"/>",
                cell_width - 1
            );
        }
    }
    // Words one by one, each at its place, so that a font of another width does not move the columns.
    let mut at = x;
    for part in symbols.split_inclusive(' ') {
        let word: String = part.trim_end().chars().filter(|symbol| !EIGHTHS.contains(symbol)).collect();
        if !word.is_empty() {
            let left = MARGIN + at * cell_width;
            let length = text_width(&word) * cell_width;
            let word = word.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(
                text,
                "<text x=\"{left}\" y=\"{}\" textLength=\"{length}\" fill=\"{colour}\"{}>{word}</text>",
                top + 13,
                shape(cell.modifier)
            );
        }
        at += text_width(part);
    }
    if cell.modifier.contains(Modifier::UNDERLINED) {
        let (left, right, line) = (MARGIN + x * cell_width, MARGIN + (x + text_width(symbols)) * cell_width, top + 16);
        let _ = writeln!(text, "<path d=\"M{left} {line}H{right}\" stroke=\"{TEXT}\"/>");
    }
}

fn colour(colour: Color) -> &'static str {
    match colour {
        Color::Reset => TEXT,
        Color::Cyan => "#58b9c7",
        Color::Green => "#8fbf6a",
        Color::DarkGray => "#7a828e",
        other => panic!("{other:?} has no colour in the picture yet"),
    }
}

fn shape(modifier: Modifier) -> &'static str {
    if modifier.contains(Modifier::BOLD) {
        " font-weight=\"bold\""
    } else if modifier.contains(Modifier::DIM) {
        " opacity=\"0.6\""
    } else {
        ""
    }
}

#[test]
fn the_picture_of_the_documents_is_what_is_drawn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/top.svg");
    let drawn = svg(&drawn(SIZE.0, SIZE.1, &busy_host(), &State::default(), None, true));
    if std::env::var_os("TRAFCALC_WRITE_PICTURE").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == drawn, "{} shows another screen", path.display());
}
