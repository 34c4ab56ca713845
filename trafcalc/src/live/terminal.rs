//! The terminal: keys in, screens out.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

use super::classes::Shown;
use super::endings::{Endings, end_by};
use super::model::Model;
use super::rows::{self, Table};
use super::screen::{self, Look, View};
use super::state::{Level, Press, RowKey, Seen, State};
use super::{Request, connect};
use crate::status::{AskError, Following, Message};

/// Longest wait until what the service sent is shown.
const TURN_MS: u8 = 50;
/// Pause before connecting again to a service that has gone.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);
/// Most lines that wait to be shown. Beyond that the service drops samples.
const MAX_WAITING: usize = 4;

/// Whether there is a terminal to show it on.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// What the listening thread received.
enum Heard {
    Message(Message),
    Lost(String),
}

/// Shows what `following` receives until the user quits.
pub(super) fn show(request: &Request, following: Following, first: Model) -> io::Result<()> {
    let path = request.socket.clone();
    let listening = move |tell: SyncSender<Heard>| {
        let mut following = Some(following);
        while tell.send(listen(&path, &mut following)).is_ok() {}
    };
    let app = App::new(request, first);
    show_what(app, listening)
}

/// Shows what `listening` receives in a thread of its own.
fn show_what(app: App, listening: impl FnOnce(SyncSender<Heard>) + Send + 'static) -> io::Result<()> {
    let (tell, heard) = mpsc::sync_channel(MAX_WAITING);
    let endings = Endings::catch()?;
    let screen = Screen::open()?;
    thread::Builder::new().name("listen".to_owned()).spawn(move || listening(tell))?;
    // `run` restores the terminal when it returns.
    match app.run(screen, &heard, &endings)? {
        Ended::ByUser => Ok(()),
        Ended::By(signal) => end_by(signal),
    }
}

/// What ended it.
enum Ended {
    /// A key, or the terminal is gone.
    ByUser,
    /// A signal.
    By(Signal),
}

/// Waits for the next line, or connects to the service again.
fn listen(path: &Path, following: &mut Option<Following>) -> Heard {
    let heard = if let Some(known) = following {
        known.message()
    } else {
        thread::sleep(CONNECT_AGAIN);
        connect(path).map(|(found, hello)| {
            *following = Some(found);
            Message::Hello(Box::new(hello))
        })
    };
    heard.map_or_else(
        |error: AskError| {
            *following = None;
            Heard::Lost(error.to_string())
        },
        Heard::Message,
    )
}

/// The terminal in screen mode; restored when dropped.
struct Screen(Terminal<CrosstermBackend<io::Stdout>>);

impl Screen {
    fn open() -> io::Result<Self> {
        let former = std::panic::take_hook();
        // A panic must be readable.
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            former(panic);
        }));
        enable_raw_mode()?;
        let opened = execute!(io::stdout(), EnterAlternateScreen, Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        opened.map(Self).inspect_err(|_| give_back())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nothing can be done if this fails.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Waits a while for a key or a signal; returns whether the terminal is still there. A closed terminal is readable
/// forever, which crossterm would take for keys that are yet to come.
fn wait(endings: &Endings) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut asked = [stdin.as_fd(), endings.as_fd()].map(|file| PollFd::new(file, PollFlags::POLLIN));
    match poll(&mut asked, PollTimeout::from(TURN_MS)) {
        // The window was resized.
        Err(Errno::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
        Ok(_) => {
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            Ok(asked[0].revents().is_some_and(|events| !events.intersects(gone)))
        }
    }
}

/// All that is shown.
struct App {
    model: Model,
    state: State,
    /// What was known when the user paused.
    paused: Option<Model>,
    lost: Option<String>,
    look: Look,
}

impl App {
    fn new(request: &Request, model: Model) -> Self {
        let state = State { is_bits: request.is_bits, ..State::default() };
        let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { model, state, paused: None, lost: None, look: Look { has_colour } }
    }

    fn run(mut self, mut screen: Screen, heard: &Receiver<Heard>, endings: &Endings) -> io::Result<Ended> {
        let mut is_new = true;
        while !self.state.is_over && wait(endings)? {
            if let Some(signal) = endings.arrived() {
                return Ok(Ended::By(signal));
            }
            if is_new {
                let table = self.table();
                screen.0.draw(|frame| {
                    let (model, state) = (self.paused.as_ref().unwrap_or(&self.model), &self.state);
                    let view = View { model, state, table: &table, lost: self.lost.as_deref() };
                    screen::draw(frame, view, self.look);
                })?;
            }
            is_new = false;
            loop {
                match heard.try_recv() {
                    Ok(heard) => self.hear(heard),
                    Err(TryRecvError::Empty) => break,
                    // The screen would never be updated.
                    Err(TryRecvError::Disconnected) => panic!("the thread that listens to the service has panicked"),
                }
                is_new = true;
            }
            while event::poll(Duration::ZERO)? {
                let size = screen.0.size()?;
                self.happen(&event::read()?, size.height);
                is_new = true;
            }
        }
        Ok(endings.arrived().map_or(Ended::ByUser, Ended::By))
    }

    fn table(&self) -> Table {
        rows::table(self.paused.as_ref().unwrap_or(&self.model), &self.state)
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Lost(why) => self.lost = Some(why),
            Heard::Message(message) => {
                self.lost = None;
                match message {
                    Message::Hello(hello) => {
                        if hello.classes != self.model.hello.classes {
                            self.state.classes = Shown::default();
                        }
                        self.model = Model::new(*hello);
                    }
                    Message::Sample(sample) => self.model.take(*sample),
                    Message::Dropped(dropped) => self.model.dropped += dropped.samples,
                    _ => {}
                }
            }
        }
    }

    fn happen(&mut self, event: &Event, height: u16) {
        let Some(press) = press(event) else { return };
        let rows: Vec<RowKey> = self.table().rows.into_iter().map(|row| row.key).collect();
        let levels = Level::of(&self.model.hello.by).len();
        let classes = &self.model.hello.classes;
        let seen = Seen { rows: &rows, levels, classes, page: screen::page(height) };
        self.state = std::mem::take(&mut self.state).press(press, seen);
        self.paused = if self.state.is_paused { self.paused.take().or_else(|| Some(self.model.clone())) } else { None };
    }
}

/// The key of an event, if it is one.
fn press(event: &Event) -> Option<Press> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    Some(match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Press::Interrupt,
        KeyCode::Char(_) if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Press::Char(*character),
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        KeyCode::Home => Press::Home,
        KeyCode::End => Press::End,
        KeyCode::Enter | KeyCode::Right => Press::Enter,
        KeyCode::Backspace | KeyCode::Left => Press::Back,
        KeyCode::Esc => Press::Escape,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
