use std::ffi::OsString;

use super::*;
use crate::capture::By;

fn resolve_text(text: &str, overrides: &Overrides) -> Result<Settings, ConfigError> {
    merge(overrides, file::parse(Path::new("t.toml"), text)?)
}

fn complaint(text: &str) -> String {
    resolve_text(text, &Overrides::default()).unwrap_err().to_string()
}

#[test]
fn a_wrong_file_is_told_by_file_line_and_key() {
    let too_many_interfaces = format!("packet.interfaces = {:?}", vec!["eth0"; 65]);
    for (text, told) in [
        ("colour = 1", "t.toml:1: colour: unknown field `colour`"),
        ("\n[log]\ncolour = 1", "t.toml:3: log.colour: unknown field `colour`"),
        ("[log]\npath = 7", "t.toml:2: log.path: invalid type: integer `7`"),
        ("[log]\npath = ''", "t.toml:2: log.path: a path must not be empty"),
        ("[log]\nformat = 'xml'", "t.toml:2: log.format: \"xml\" is not one of logfmt, json"),
        ("loopback = 'yes'", "t.toml:1: loopback: invalid type: string \"yes\""),
        ("# ä\ninterval = 10", "t.toml:2: interval: invalid type: integer `10`"),
        ("interval = '0s'", "t.toml:1: interval: \"0s\" is not between 100ms and 1day"),
        ("interval = '99ms'", "t.toml:1: interval: \"99ms\" is not between 100ms and 1day"),
        ("interval = '86401s'", "t.toml:1: interval: \"86401s\" is not between 100ms and 1day"),
        ("interval = 'soon'", "t.toml:1: interval: \"soon\" is not a length of time such as 500ms, 10s or 1h"),
        ("owner = 'me'", "t.toml:1: owner: \"me\" is not one of socket, acting"),
        ("subordinate = 'root'", "t.toml:1: subordinate: \"root\" is not one of user, apart"),
        ("[only]\nprograms = ['a/b']", "t.toml:2: only.programs: \"a/b\" is not the last part of a path"),
        ("[only]\nunits = ['']", "t.toml:2: only.units: \"\" is not the last part of a path"),
        ("[only]\npids = [7]", "t.toml:2: only.pids: unknown field `pids`"),
        ("by = 'colour'", "t.toml:1: by: \"colour\" is not one of user, process, program, unit"),
        ("by = ['unit', 'colour']", "t.toml:1: by"),
        ("by = ['unit', 'user', 'unit']", "t.toml:1: by: \"unit\" comes twice"),
        ("by = 'user,unit'", "t.toml:1: by: \"user,unit\" is not one of user, process, program, unit"),
        ("by = []", "t.toml:1: by: the list is empty"),
        ("by = 7", "t.toml:1: by: invalid type: integer `7`, expected a word or a list of words"),
        ("backend = 'pcap'", "t.toml:1: backend: \"pcap\" is not one of auto, ebpf, packet"),
        ("[ebpf]\nattach = 'xdp'", "t.toml:2: ebpf.attach: \"xdp\" is not one of fentry, kprobe, tracepoint"),
        ("[ebpf]\nkeep = 'here'", "t.toml:2: ebpf.keep: \"here\" is neither systemd nor the path of a folder"),
        ("[ebpf]\nmethod = 'poll'", "t.toml:2: ebpf.method: \"poll\" is not one of auto, sweep, events"),
        ("[packet]\nring_bytes = 65535", "t.toml:2: packet.ring_bytes: 65535 is not between 65536 and 1073741824"),
        ("[packet]\nring_bytes = -1", "t.toml:2: packet.ring_bytes: -1 is not between"),
        ("[packet]\nmax_connections = 0", "t.toml:2: packet.max_connections: 0 is not between 1 and 16777216"),
        ("[packet]\ninterfaces = ['eth0', 'a/b']", "t.toml:2: packet.interfaces: \"a/b\" cannot be the name"),
        ("[packet]\n\ninterfaces = 'eth0'", "t.toml:3: packet.interfaces: invalid type: string \"eth0\""),
        (&too_many_interfaces, "t.toml:1: packet.interfaces: 65 names are more than the 64 there may be"),
        ("[[quota]]\nlimit = '1GB'", "t.toml:1: quota[0]: missing field `name`"),
        ("[[quota]]\nname = 'a'", "t.toml:1: quota[0]: missing field `limit`"),
        ("[[quota]]\nname = ''\nlimit = '1GB'", "t.toml:1: quota: a quota has an empty name"),
        ("[[quota]]\nname = 'a'\nlimit = 'much'", "t.toml:3: quota[0].limit: \"much\" is not an amount such as 500GB"),
        ("[[quota]]\nname = 'a'\nlimit = '0GB'", "t.toml:3: quota[0].limit: \"0GB\" is not an amount"),
        ("[[quota]]\nname = 'a'\nlimit = '1GB'\nwarn = [0]", "t.toml:4: quota[0].warn: 0 is not between 1 and 1000"),
        ("[[quota]]\nname = 'a'\nlimit = '1GB'\nwarn = []", "t.toml:4: quota[0].warn: there may be 1 to 16 steps"),
        (
            "[[quota]]\nname = 'a'\nlimit = '1GB'\nperiod = 'week'",
            "t.toml:4: quota[0].period: \"week\" is not one of month, day",
        ),
        (
            "[[quota]]\nname = 'a'\nlimit = '1GB'\n[[quota]]\nname = 'a'\nlimit = '1GB'",
            "t.toml:1: quota: two quotas have the name",
        ),
        ("interval = '1s'\ninterval = '2s'", "t.toml:2: duplicate key"),
        ("[log\n", "t.toml:1: "),
    ] {
        let complaint = complaint(text);
        assert!(complaint.starts_with(told), "{text:?}: {complaint}");
    }
}

#[test]
fn the_command_line_comes_before_the_file() {
    let text = "backend = 'packet'\ninterval = '5s'\n[log]\npath = '/a'\nformat = 'json'\n[ebpf]\nattach = 'kprobe'\nmethod = 'sweep'\nkeep = '/a/b'\n\
                [only]\nusers = ['a']\nprograms = ['nginx']";
    let file = resolve_text(text, &Overrides::default()).unwrap();
    assert_eq!(file.capture.backend, Some(BackendKind::Packet));
    assert_eq!(file.capture.attach, Some(Attach::Kprobe));
    assert_eq!(file.capture.ebpf.method, Some(Method::Sweep));
    assert_eq!(file.interval, "5s".parse().unwrap());
    assert_eq!(file.keep, Some(Keep::Folder("/a/b".into())));
    assert_eq!(file.log, Log { path: "/a".into(), format: Format::Json, is_for_people: false, host: None });

    let overrides = Overrides {
        config: None,
        backend: Some(Backend::Auto),
        attach: Some(Attach::Fentry),
        method: Some(MethodChoice::Auto),
        interval: Some("1s".parse().unwrap()),
        duration: Some("1h".parse().unwrap()),
        log: Some(STDOUT.into()),
        book: Some("/c".into()),
        format: Some(Format::Logfmt),
        keep: Some(Keep::Systemd),
        status_socket: Some("/b".into()),
        reports_socket: Some("/d".into()),
        loopback: true,
        by: vec![Dimension::Process],
        owner: Some(CreditTo::Acting),
        only: Only { users: vec!["b".to_owned()], ..Only::default() },
    };
    let both = resolve_text(text, &overrides).unwrap();
    assert_eq!(both.capture.backend, Some(BackendKind::Ebpf), "an attach mode is forced");
    assert_eq!(both.capture.attach, Some(Attach::Fentry));
    assert_eq!(both.capture.ebpf.method, None, "auto on the command line takes back what the file forces");
    let auto = resolve_text(text, &Overrides { attach: None, ..overrides.clone() }).unwrap();
    assert_eq!(auto.capture.backend, Some(BackendKind::Ebpf), "by the file");
    assert_eq!(resolve_text("", &Overrides::default()).unwrap().capture.backend, None);
    assert_eq!(both.interval, "1s".parse().unwrap());
    assert_eq!(both.duration, Some("1h".parse().unwrap()));
    let log = Log { path: STDOUT.into(), format: Format::Logfmt, is_for_people: false, host: None };
    assert_eq!(both.log, log, "who types a format wants records");
    let no_format = resolve_text(text, &Overrides { format: None, ..overrides.clone() }).unwrap();
    assert!(no_format.log.is_for_people);
    assert!(both.capture.loopback);
    assert_eq!(both.capture.by, By::PROCESS);
    assert_eq!(both.capture.credit_to, CreditTo::Acting);
    assert_eq!(both.only.users, ["b"]);
    assert_eq!(both.only.programs, ["nginx".parse().unwrap()]);
    assert_eq!(both.status, Some("/b".into()));
    assert_eq!(both.reports, Some("/d".into()));
}

#[test]
fn accounts_are_told_apart_by_a_word_or_a_list() {
    let both = By::PROGRAM.and(Dimension::Unit);
    for (text, by) in [
        ("", By::USER),
        ("by = 'user'", By::USER),
        ("by = 'unit'", By::UNIT),
        ("by = ['unit']", By::UNIT),
        ("by = ['user', 'unit']", By::UNIT),
        ("by = ['unit', 'program']", both),
        ("by = ['process', 'unit']", By::PROCESS.and(Dimension::Unit)),
    ] {
        assert_eq!(resolve_text(text, &Overrides::default()).unwrap().capture.by, by, "{text}");
    }
    let typed =
        |by: &[Dimension]| resolve_text("by = 'process'", &Overrides { by: by.to_vec(), ..Overrides::default() });
    assert_eq!(typed(&[]).unwrap().capture.by, By::PROCESS);
    assert_eq!(typed(&[Dimension::User]).unwrap().capture.by, By::USER, "it replaces what the file says");
    assert_eq!(typed(&[Dimension::Unit, Dimension::Program]).unwrap().capture.by, both);
    let error = typed(&[Dimension::Unit, Dimension::User, Dimension::Unit]).unwrap_err();
    assert!(error.is_usage());
    assert_eq!(error.to_string(), "--by has unit twice");
}

#[test]
fn an_empty_path_is_no_status_socket() {
    assert_eq!(resolve_text("", &Overrides::default()).unwrap().status, Some(DEFAULT_STATUS.into()));
    assert_eq!(resolve_text("[status]\nsocket = ''", &Overrides::default()).unwrap().status, None);
    let none = Overrides { status_socket: Some("".into()), ..Overrides::default() };
    assert_eq!(resolve_text("[status]\nsocket = '/a'", &none).unwrap().status, None);
}

#[test]
fn an_attach_mode_for_the_packet_backend_is_refused() {
    let overrides = Overrides { attach: Some(Attach::Kprobe), ..Overrides::default() };
    let error = resolve_text("backend = 'packet'", &overrides).unwrap_err();
    assert!(error.is_usage());
    assert_eq!(error.to_string(), "--attach kprobe is for the ebpf backend, but the backend is packet");
}

#[test]
fn a_method_forces_the_ebpf_backend_and_is_refused_with_packet() {
    let of = |text, backend, method| resolve_text(text, &Overrides { backend, method, ..Overrides::default() });
    let events = Some(MethodChoice::Only(Method::Events));
    assert_eq!(of("", None, events).unwrap().capture.backend, Some(BackendKind::Ebpf));
    assert_eq!(of("", None, events).unwrap().capture.ebpf.method, Some(Method::Events));
    let file = "[ebpf]\nmethod = 'events'";
    assert_eq!(of(file, None, None).unwrap().capture.backend, Some(BackendKind::Ebpf));
    assert_eq!(of(file, None, Some(MethodChoice::Auto)).unwrap().capture.backend, None);
    let packet = Some(Backend::Only(BackendKind::Packet));
    assert_eq!(of(file, packet, None).unwrap().capture.backend, Some(BackendKind::Packet));
    assert!(of("", packet, Some(MethodChoice::Auto)).is_ok());
    let error = of("backend = 'packet'", None, events).unwrap_err();
    assert!(error.is_usage());
    assert_eq!(error.to_string(), "--method events is for the ebpf backend, but the backend is packet");
}

#[test]
fn a_sweep_is_refused_with_everything_that_depends_on_who_acts() {
    let of_pid = Only { pids: vec!["7".parse().unwrap()], ..Only::default() };
    let typed = [
        ("--by process", Overrides { by: vec![Dimension::Process], ..Overrides::default() }),
        ("--by program", Overrides { by: vec![Dimension::Program], ..Overrides::default() }),
        ("--by unit", Overrides { by: vec![Dimension::Unit], ..Overrides::default() }),
        ("--by program,unit", Overrides { by: vec![Dimension::Unit, Dimension::Program], ..Overrides::default() }),
        ("--owner acting", Overrides { owner: Some(CreditTo::Acting), ..Overrides::default() }),
        ("--pid", Overrides { only: of_pid, ..Overrides::default() }),
    ];
    for (needs, overrides) in typed {
        let error = resolve_text("ebpf.method = 'sweep'", &overrides).unwrap_err();
        assert!(error.is_usage(), "{needs}");
        assert!(error.to_string().starts_with(&format!("--method sweep cannot be used with {needs}: ")), "{error}");
        let events = Overrides { method: Some(MethodChoice::Only(Method::Events)), ..overrides.clone() };
        assert!(resolve_text("ebpf.method = 'sweep'", &events).is_ok(), "{needs}");
    }
    let sweep = Overrides { method: Some(MethodChoice::Only(Method::Sweep)), ..Overrides::default() };
    let written = [
        ("--by unit", "by = 'unit'"),
        ("--owner acting", "owner = 'acting'"),
        ("--program", "only.programs = ['nginx']"),
        ("--unit", "only.units = ['nginx.service']"),
    ];
    for (needs, text) in written {
        let error = resolve_text(text, &sweep).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(needs), "{error}");
        let error = resolve_text(&format!("{text}\nebpf.method = 'sweep'"), &Overrides::default()).unwrap_err();
        assert!(!error.is_usage() && error.to_string().contains(needs), "{error}");
        let unused = format!("{text}\nowner = 'socket'\nbackend = 'packet'\nebpf.method = 'sweep'");
        if !text.starts_with("owner") {
            assert!(resolve_text(&unused, &Overrides::default()).is_ok(), "{needs}: packet has no method");
        }
    }
    assert!(resolve_text("only.users = ['root']", &sweep).is_ok());
}

#[test]
fn the_default_file_may_be_missing_but_a_named_one_may_not() {
    let missing = Path::new("/nonexistent/trafcalc.toml");
    let none = |_: &str| None;
    assert_eq!(
        resolve_with(&Overrides::default(), missing, none).unwrap(),
        resolve_text("", &Overrides::default()).unwrap()
    );
    let named = Overrides { config: Some(missing.into()), ..Overrides::default() };
    let error = resolve_with(&named, missing, none).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/trafcalc.toml: cannot be read: No such file"), "{error}");
    assert!(!error.is_usage());
}

#[test]
fn the_shipped_file_names_every_key_with_its_default() {
    let text = include_str!("../../dist/trafcalc.toml");
    let built_in = resolve_text("", &Overrides::default()).unwrap();
    assert_eq!(resolve_text(text, &Overrides::default()).unwrap(), built_in);
    let uncommented =
        text.replace("#attach", "attach").replace("#host", "host").replace("#path", "path").replace("#zone", "zone");
    let settings = resolve_text(&uncommented, &Overrides::default()).unwrap();
    assert_eq!((settings.capture.attach, settings.log.host.as_deref()), (Some(Attach::Fentry), Some("web1")));
    for key in [
        "backend",
        "interval",
        "loopback",
        "by",
        "owner",
        "subordinate",
        "[only]",
        "users",
        "programs",
        "units",
        "later",
        "[log]",
        "path",
        "format",
        "host",
        "[book]",
        "zone",
        "[status]",
        "socket",
        "[packet]",
        "interfaces",
        "ring_bytes",
        "max_connections",
        "[ebpf]",
        "attach",
        "method",
        "max_accounts",
    ] {
        assert!(uncommented.lines().any(|line| line.starts_with(key)), "{key} is missing");
    }
}

#[test]
fn variables_for_tests_reach_the_backends_or_are_refused() {
    let set = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), OsString::from(value));
        resolve_with(&Overrides::default(), Path::new("/nonexistent"), move |asked| {
            (asked == name).then(|| value.clone())
        })
    };
    assert_eq!(set(TEST_DROP_PERCENT, "90").unwrap().capture.packet.test_drop_percent, 90);
    assert_eq!(set(TEST_STALL_MS, "1500").unwrap().capture.packet.test_stall_ms, 1500);
    assert!(set(TEST_WITHOUT_CAST, "1").unwrap().capture.ebpf.test_without_cast);
    assert!(!set(TEST_WITHOUT_CAST, "0").unwrap().capture.ebpf.test_without_cast);
    for (name, value) in [(TEST_DROP_PERCENT, "101"), (TEST_DROP_PERCENT, "-1"), (TEST_STALL_MS, "long")] {
        let error = set(name, value).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_quota_has_defaults_and_its_steps_ascend() {
    let text = "[[quota]]\nname = 'host'\nlimit = '100GB'\n[[quota]]\nname = 'a'\nusers = ['a']\nunits = ['x.service']\nlimit = '1GiB'\n\
                period = 'day'\ndirection = 'sent'\nwarn = [100, 50, 100]";
    let settings = resolve_text(text, &Overrides::default()).unwrap();
    let [host, a] = &settings.quotas[..] else { panic!("{:?}", settings.quotas) };
    assert_eq!((host.limit, &host.warn[..]), (100_000_000_000, &[80, 100][..]));
    assert_eq!((host.period.name(), host.direction.name()), ("month", "both"));
    assert_eq!((a.limit, &a.warn[..], a.period.name(), a.direction.name()), (1 << 30, &[50, 100][..], "day", "sent"));
    assert_eq!(unkept_quotas(&settings).len(), 1);
    let with_units = format!("by = ['unit']\n{text}");
    assert!(unkept_quotas(&resolve_text(&with_units, &Overrides::default()).unwrap()).is_empty());
}
