use std::cell::RefCell;

use super::*;
use crate::service::exit::Exit;

fn of_user(users: &[&str], directory: &dyn Fn(&str) -> Found) -> Result<Shown, AnswerError> {
    let history = History::of_berlin();
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    let request = Request {
        book: Some(history.path.clone()),
        config: None,
        question: Question { only: Only { users, ..Only::default() }, ..question() },
        is_billed: false,
        format: Format::Table,
        is_exact: false,
        drawing: None,
    };
    answer(&request, directory, time(END))
}

#[test]
fn the_directory_is_asked_about_those_alone_whom_the_book_does_not_have() {
    let asked = RefCell::new(Vec::new());
    let directory = |text: &str| {
        asked.borrow_mut().push(text.to_owned());
        Found::User(4_000)
    };
    let shown = of_user(&["alice", "1001", "1005", "dora"], &directory).unwrap();
    assert!(shown.text.contains("\ndora has no traffic in this book.\n"), "{}", shown.text);
    assert_eq!(asked.into_inner(), ["dora"]);
}

#[test]
fn a_directory_that_does_not_answer_is_told() {
    let error = of_user(&["bob", "alise"], &|_| Found::Unclear("Connection timed out".to_owned())).unwrap_err();
    assert_eq!(error.exit(), Exit::Unavailable);
    let told = r#"there is no user "alise" in the book, and the directory cannot say who "alise" is: Connection timed out; did you mean "alice"?"#;
    assert_eq!(error.to_string(), told);
    let error = of_user(&["alise"], &|_| Found::Nobody).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
}
