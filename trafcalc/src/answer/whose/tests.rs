use super::*;

fn account(uid: u32, user: &str, unit: &str) -> AccountKey {
    let unit = Some(Arc::from(unit));
    AccountKey {
        kind: AccountKind::User,
        uid: Some(uid),
        user: Some(user.to_owned()),
        program: None,
        unit,
        class: None,
    }
}

fn accounts() -> Vec<(i64, AccountKey)> {
    let accounts = [
        account(1000, "alice", "nginx.service"),
        account(1001, "alicf", "ssh.service"),
        account(7, "bob", "cron.service"),
    ];
    (1..).zip(accounts).collect()
}

fn complaint(only: &Only) -> String {
    only.check(&accounts(), &[]).unwrap_err().to_string()
}

#[test]
fn a_near_miss_is_suggested() {
    let users = |name: &str| Only { users: vec![name.to_owned()], ..Only::default() };
    assert_eq!(complaint(&users("alic")), r#"there is no user "alic" in the book; did you mean "alice" or "alicf"?"#);
    assert_eq!(
        complaint(&Only { units: vec!["nginx".to_owned()], ..Only::default() }),
        r#"there is no unit "nginx" in the book; did you mean "nginx.service"?"#
    );
    assert!(complaint(&users("zzz")).starts_with(r#"there is no user "zzz" in the book: it has what moved"#));
    assert!(complaint(&users("8")).contains(r#"no user "8""#));
    let programs = Only { programs: vec!["curl".to_owned()], ..Only::default() };
    assert!(
        complaint(&programs).ends_with("by program if the service told programs apart"),
        "{}",
        complaint(&programs)
    );
    for known in ["alice", "7", "bob"] {
        users(known).check(&accounts(), &[]).unwrap();
    }
}

#[test]
fn a_name_in_a_complaint_drives_no_terminal() {
    let users = Only { users: vec!["\u{1b}[2J\u{202e}\u{85}".to_owned()], ..Only::default() };
    let complaint = complaint(&users);
    assert!(complaint.contains(r#""\u{1b}[2J\u{202e}\u{85}""#), "{complaint}");
}

#[test]
fn accounts_are_put_together_by_what_is_asked_for() {
    let mut accounts = accounts();
    accounts.push((9, account(1000, "alice", "ssh.service")));
    let groups = |by: &[Dimension]| Groups::new(&accounts, by, &Only::default());
    let by_user = groups(&[Dimension::User]);
    assert_eq!((by_user.whose.len(), by_user.places().of(1)), (3, by_user.places().of(9)));
    let by_unit = groups(&[Dimension::Unit]);
    assert_eq!((by_unit.whose.len(), by_unit.places().of(2)), (3, by_unit.places().of(9)));
    assert_eq!((by_unit.whose[0].uid, by_unit.whose[0].user.as_deref()), (None, None));
    assert_eq!(groups(&[Dimension::Unit, Dimension::User]).whose.len(), 4);
    assert_eq!(by_user.places().of(77), None);
}

#[test]
fn places_are_found_in_any_order() {
    let accounts: Vec<_> =
        [5, 2, 9, 40].map(|id| (id, account(u32::try_from(id).unwrap(), "alice", "ssh.service"))).to_vec();
    let groups = Groups::new(&accounts, &[Dimension::User], &Only::default());
    let mut places = groups.places();
    let asked = [2, 5, 9, 40, 2, 9, 7, 9, 9, 41, 1, 5, i64::MAX];
    let found: Vec<_> = asked.iter().map(|id| places.of(*id).and_then(|place| groups.whose[place].uid)).collect();
    assert_eq!(found, asked.map(|id| u32::try_from(id).ok().filter(|id| [2, 5, 9, 40].contains(id))));
}
