//! Reads a log that grows, is rotated (logrotate), or is truncated.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::state::Place;

/// Longest line: records have some hundred bytes, and names some more. A longer line is read in parts, none of them a
/// record.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// This many bytes tell logs apart, because each record has its time, epoch and number.
const BEGIN_BYTES: usize = 128;

/// A log, and how far it was read.
pub(super) struct Follower {
    path: PathBuf,
    open: Option<Open>,
    /// Where to resume, until there is a file.
    left: Option<Place>,
}

/// What follows the end of a file.
enum Turn {
    /// Nothing yet.
    Nothing,
    /// A line that was written to it in the meantime.
    Line(Vec<u8>),
    /// Another file.
    Other,
}

struct Open {
    file: BufReader<File>,
    place: Place,
}

impl Open {
    fn at(file: File, offset: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let offset = offset.min(metadata.len());
        let begins = begin(&file, offset)?;
        let place = Place { device: metadata.dev(), inode: metadata.ino(), offset, begins };
        let mut file = BufReader::new(file);
        file.seek(SeekFrom::Start(place.offset))?;
        Ok(Self { file, place })
    }

    fn is(&self, metadata: &std::fs::Metadata) -> bool {
        (self.place.device, self.place.inode) == (metadata.dev(), metadata.ino())
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_whole = |line: &Vec<u8>| line.ends_with(b"\n") || line.len() as u64 == MAX_LINE_BYTES;
        let line = line(&mut self.file)?.filter(is_whole);
        match &line {
            Some(line) => self.place.offset += line.len() as u64,
            // An incomplete line is read again later.
            None => drop(self.file.seek(SeekFrom::Start(self.place.offset))?),
        }
        Ok(line)
    }
}

impl Follower {
    /// Resumes at `place`, even if logrotate renamed the log meanwhile; without a place, starts at the log's end.
    pub fn start(path: &Path, place: Option<&Place>) -> io::Result<Self> {
        let found = match place {
            Some(place) => resume(path, place)?,
            None => open(path)?.map(|file| Open::at(file, u64::MAX)).transpose()?,
        };
        if found.is_none() {
            tracing::warn!("{}: is not there yet, and is waited for", path.display());
        }
        Ok(Self { path: path.to_owned(), open: found, left: place.cloned() })
    }

    /// How far the log was read, by this process or the former one.
    pub fn place(&self) -> io::Result<Option<Place>> {
        let place = |open: &Open| {
            let begins = begin(open.file.get_ref(), open.place.offset)?;
            Ok(Place { begins, ..open.place.clone() })
        };
        self.open.as_ref().map_or_else(|| Ok(self.left.clone()), |open| place(open).map(Some))
    }

    /// The next complete line, if there is one by now.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(line) = open.next()?
            {
                return Ok(Some(line));
            }
            match self.turn()? {
                Turn::Nothing => return Ok(None),
                Turn::Line(line) => return Ok(Some(line)),
                Turn::Other => {}
            }
        }
    }

    /// Checks whether there is another file now, or the same was truncated; if so, goes on there.
    fn turn(&mut self) -> io::Result<Turn> {
        let Some(former) = &mut self.open else {
            self.open = match &self.left {
                Some(left) => resume(&self.path, left)?,
                None => open(&self.path)?.map(|file| Open::at(file, 0)).transpose()?,
            };
            return Ok(if self.open.is_some() { Turn::Other } else { Turn::Nothing });
        };
        let Some(file) = open(&self.path)? else { return Ok(Turn::Nothing) };
        let metadata = file.metadata()?;
        if former.is(&metadata) {
            if metadata.len() >= former.place.offset {
                return Ok(Turn::Nothing);
            }
        } else if let Some(line) = former.next()? {
            // It was written between the last read and the renaming.
            return Ok(Turn::Line(line));
        }
        // Where it was cut is unknown, but no record is told twice.
        self.open = Some(Open::at(file, 0)?);
        Ok(Turn::Other)
    }
}

/// The log that was left at `place`, under its name or renamed; otherwise the log that has its name now, from its
/// beginning; `None` if there is neither.
fn resume(path: &Path, place: &Place) -> io::Result<Option<Open>> {
    let is_it = |file: &File| {
        file.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (place.device, place.inode))
            && begin(file, place.begins.len() as u64).is_ok_and(|begins| begins == place.begins)
    };
    let file = open(path)?;
    if let Some(file) = file.as_ref().filter(|file| is_it(file)) {
        return Open::at(file.try_clone()?, place.offset).map(Some);
    }
    if let Some(renamed) = open(&with_end(path, ".1")).ok().flatten().filter(is_it) {
        return Open::at(renamed, place.offset).map(Some);
    }
    let Some(file) = file else { return Ok(None) };
    tracing::warn!(
        "{}: is not the log that was read last, and no {}.1 is: what came between the two was not read",
        path.display(),
        path.display()
    );
    Open::at(file, 0).map(Some)
}

/// The first bytes of a file, as far as they were read.
fn begin(file: &File, read: u64) -> io::Result<Vec<u8>> {
    let mut begins = vec![0; usize::try_from(read).unwrap_or(usize::MAX).min(BEGIN_BYTES)];
    let found = file.read_at(&mut begins, 0)?;
    begins.truncate(found);
    Ok(begins)
}

/// A line with its newline, if that is there; `None` at the end of `input`.
pub(super) fn line(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    struct Log(tempfile::TempDir);

    impl Log {
        fn path(&self) -> PathBuf {
            self.0.path().join("traffic")
        }

        fn append(&self, text: &str) {
            let mut file = OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            std::fs::rename(self.path(), with_end(&self.path(), ".1")).unwrap();
        }
    }

    fn log() -> Log {
        Log(tempfile::tempdir().unwrap())
    }

    fn read(follower: &mut Follower) -> String {
        let mut all = Vec::new();
        while let Some(line) = follower.next().unwrap() {
            all.extend(line);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn lines_are_read_when_they_are_whole() {
        let log = log();
        let mut follower = Follower::start(&log.path(), None).unwrap();
        assert_eq!(read(&mut follower), "");
        log.append("a\nb");
        assert_eq!(read(&mut follower), "a\n");
        log.append("c\n");
        assert_eq!(read(&mut follower), "bc\n");
        // A follower that starts later reads only later lines.
        let mut later = Follower::start(&log.path(), None).unwrap();
        log.append("d\n");
        assert_eq!((read(&mut follower), read(&mut later)), ("d\n".to_owned(), "d\n".to_owned()));
    }

    #[test]
    fn a_log_that_is_renamed_is_read_to_its_end_whether_anybody_was_there_or_not() {
        let log = log();
        log.append("a\n");
        let mut follower = Follower::start(&log.path(), None).unwrap();
        log.append("b\n");
        assert_eq!(read(&mut follower), "b\n");
        let place = follower.place().unwrap();
        log.append("c\n");
        log.rotate();
        log.append("d\n");
        assert_eq!(read(&mut follower), "c\nd\n");
        let mut next = Follower::start(&log.path(), place.as_ref()).unwrap();
        assert_eq!(read(&mut next), "c\nd\n");
        log.rotate();
        log.append("e\n");
        // After two rotations, the file of its place is gone.
        let mut next = Follower::start(&log.path(), place.as_ref()).unwrap();
        assert_eq!(read(&mut next), "e\n");
    }

    #[test]
    fn a_log_that_was_cut_back_is_read_again() {
        let log = log();
        log.append("");
        let mut follower = Follower::start(&log.path(), None).unwrap();
        log.append("a\nb\n");
        assert_eq!(read(&mut follower), "a\nb\n");
        OpenOptions::new().write(true).open(log.path()).unwrap().set_len(2).unwrap();
        assert_eq!(read(&mut follower), "a\n");
        log.append("c\n");
        assert_eq!(read(&mut follower), "c\n");
    }
    #[test]
    fn a_log_that_is_missing_at_the_start_is_gone_on_with_where_it_was_left() {
        let log = log();
        log.append("a\n");
        let mut follower = Follower::start(&log.path(), None).unwrap();
        log.append("b\n");
        assert_eq!(read(&mut follower), "b\n");
        let place = follower.place().unwrap();
        log.append("c\n");
        log.rotate();
        // The service has not created the next one yet.
        let mut next = Follower::start(&log.path(), place.as_ref()).unwrap();
        assert_eq!(read(&mut next), "c\n");
        log.append("d\n");
        assert_eq!(read(&mut next), "d\n");
        std::fs::remove_file(log.path()).unwrap();
        let hidden = with_end(&log.path(), ".hidden");
        std::fs::rename(with_end(&log.path(), ".1"), &hidden).unwrap();
        let mut next = Follower::start(&log.path(), place.as_ref()).unwrap();
        assert_eq!(read(&mut next), "");
        assert_eq!(next.place().unwrap(), place, "it is kept until there is another");
        std::fs::rename(hidden, log.path()).unwrap();
        assert_eq!(read(&mut next), "c\n");
    }

    #[test]
    fn a_line_that_is_too_long_does_not_keep_the_next_from_being_read() {
        let log = log();
        log.append("");
        let mut follower = Follower::start(&log.path(), None).unwrap();
        let oversized = "x".repeat(usize::try_from(MAX_LINE_BYTES).unwrap() + 7);
        log.append(&oversized);
        log.append("\na\n");
        assert_eq!(read(&mut follower), oversized + "\na\n");
    }

    #[test]
    fn what_is_written_just_before_a_log_is_renamed_is_read_before_the_next_log() {
        let log = log();
        log.append("");
        let mut follower = Follower::start(&log.path(), None).unwrap();
        assert_eq!(read(&mut follower), "");
        log.append("a\n");
        log.rotate();
        log.append("b\n");
        // As if the line came after the end of the former log was reached.
        assert!(matches!(follower.turn().unwrap(), Turn::Line(line) if line == b"a\n"));
        assert_eq!(read(&mut follower), "b\n");
    }
}
