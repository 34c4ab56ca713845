//! `trafcalc check`: what a configuration means, or what is wrong with it.

use std::fs;
use std::process::Output;

use super::support::{stderr, trafcalc};

fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    trafcalc(&["check"]).arg(path).output().unwrap()
}

#[test]
fn a_configuration_is_told_in_words() {
    let output = check(
        "backend = 'packet'\nby = ['program', 'unit']\ninterval = '10s'\n[only]\nusers = ['root', 'rooot']\n[log]\nformat = 'json'\n\
         [book]\npath = 'none'\n[status]\nsocket = ''\n[packet]\ninterfaces = ['eth0']\n\
         [[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\n",
    );
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for line in [
        "is right, and means:",
        "  counts    TCP payload of users root, rooot, by user,program,unit and class (internet, lan), without connections within this host\n",
        "  with      packet, on eth0\n",
        "  reports   every 10s, to /var/log/traffic, as json\n",
        "  book      none: nothing is kept but the log\n",
        "  class     \"lan\": 10.0.0.0/8; billed\n",
        "  status    told nowhere\n",
        "  top       connects to /run/trafcalc/reports.sock\n",
        "but there is no user \"rooot\" now, who is waited for (did you mean \"root\"?)\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn that_privileges_are_kept_is_told() {
    for (text, is_told) in [("", false), ("service.run_as = 'root'\n", false), ("service.run_as = ''\n", true)] {
        let output = check(text);
        assert!(output.status.success(), "{}", stderr(&output));
        let told = "but with service.run_as = \"\" the service keeps all privileges";
        assert_eq!(String::from_utf8_lossy(&output.stdout).contains(told), is_told, "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_may_be_meant() {
    for (text, told) in [
        ("intervall = '1s'\n", "config.toml:1: intervall: unknown field `intervall`, expected one of"),
        ("intervall = '1s'\n", "; did you mean \"interval\"?"),
        (
            "[log]\npaht = '/x'\n",
            "log.paht: unknown field `paht`, expected one of `path`, `format`, `host`; did you mean \"path\"?",
        ),
        (
            "[[class]]\nname = 'lan'\nnetworks = ['10.1.0.0/8']\n",
            "has bits set after its prefix: the network is 10.0.0.0/8",
        ),
        ("[book]\nbilling_day = 29\n", "book.billing_day: 29 is not a day that every month has, 1 to 28"),
        ("[[class]]\nname = 'internet'\nnetworks = []\n", "class: \"internet\" is what is in no class that is named"),
        (
            "[[class]]\nname = 'a'\nnetworks = ['::1']\n[[class]]\nname = 'b'\nnetworks = ['::1/128']\n",
            "::1/128 is in the classes \"a\" and \"b\"",
        ),
        ("log = '/x'\n", "config.toml:1: log: this is a table: write [log] on a line, and below it path = \"…\""),
    ] {
        let output = check(text);
        assert_eq!(output.status.code(), Some(78));
        assert!(stderr(&output).contains(told), "{told:?} is not in {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let output = trafcalc(&["check", "/nonexistent/trafcalc.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}

#[test]
fn quotas_are_told_and_those_that_cannot_be_kept() {
    let quota = "[[quota]]\nname = 'web'\nusers = ['rooot', '7']\ngroups = ['roott']\nunits = ['nginx.service']\nlimit = '1GB'\n";
    let told = |text: &str| String::from_utf8(check(text).stdout).unwrap();
    let text = told(quota);
    for line in [
        "  quota     \"web\": 1.00 GB, both, each month, of users rooot, 7; groups roott; units nginx.service; reported at 80, 100 %\n",
        "but the quota \"web\" names units, which need `by = [\"unit\"]`\n",
        "but there is no user \"rooot\" now, whom the quota \"web\" names (did you mean \"root\"?)\n",
        "but there is no group \"roott\" now, which the quota \"web\" names (did you mean \"root\"?)\n",
        "but there is no unit or cgroup \"nginx.service\" now, which the quota \"web\" names",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(!told(&format!("by = 'unit'\n{quota}")).contains("need `by"));
    let right = "[[quota]]\nname = 'all'\nusers = ['root']\ngroups = ['root']\nlimit = '100GiB'\n";
    let text =
        told(&format!("{right}[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8', 'fd00::/8']\nbilled = false\n"));
    assert!(
        text.contains("\"all\": 107 GB (107374182400 bytes), both, each month") && !text.contains("\nbut "),
        "{text}"
    );
    assert!(text.contains("  class     \"lan\": 10.0.0.0/8, fd00::/8; not billed\n"), "{text}");
    let none = told("[book]\npath = 'none'\n[[quota]]\nname = 'host'\nlimit = '1GB'\n");
    assert!(
        none.contains(", of everybody; reported at") && none.contains("but quotas are not kept without a book\n"),
        "{none}"
    );
}
