use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_container_is_told_by_its_runtime_and_the_beginning_of_its_id() {
    for (unit, short, named) in [
        (format!("docker-{ID}.scope"), "docker:0123456789ab", "docker:web"),
        (format!("libpod-{ID}.scope"), "podman:0123456789ab", "podman:web"),
        (format!("cri-containerd-{ID}.scope"), "containerd:0123456789ab", "containerd:web"),
        (format!("crio-{ID}.scope"), "cri-o:0123456789ab", "cri-o:web"),
        (format!("new-engine-{ID}.scope"), "new-engine:0123456789ab", "new-engine:web"),
        (ID.to_owned(), "container:0123456789ab", "container:web"),
        ("machine-debian.scope".to_owned(), "machine:debian", "machine:web"),
        (r"machine-my\x2dguest.scope".to_owned(), "machine:my-guest", "machine:web"),
        ("lxc.payload.mail".to_owned(), "lxc:mail", "lxc:web"),
    ] {
        assert_eq!((&*told(&unit, None), &*told(&unit, Some("web"))), (short, named), "{unit}");
    }
}

#[test]
fn one_is_meant_by_what_is_told_of_it_and_by_enough_of_its_id() {
    let docker = format!("docker-{ID}.scope");
    for text in ["docker:0123456789ab", "0123456789ab", "0123456789abcdef", ID] {
        assert!(is_meant(&docker, text), "{text}");
    }
    for text in ["", "0123456789a", "podman:0123456789ab", "docker:", "0123456789ac"] {
        assert!(!is_meant(&docker, text), "{text}");
    }
    assert!(is_meant("lxc.payload.mail", "lxc:mail") && !is_meant("lxc.payload.mail", "mail"));
    assert!(!is_meant("nginx.service", "nginx.service"), "it is no container");
}

#[test]
fn other_units_are_told_as_they_are() {
    let short = &ID[1..];
    for unit in ["nginx.service", "session-3.scope", "/jobs/a", "/", "7", short, &format!("docker-{short}.scope"), ""] {
        assert_eq!(told(unit, Some("web")), unit);
    }
}

#[test]
fn escapes_that_are_none_are_left_alone_and_bytes_that_are_no_text_are_replaced() {
    for (name, text) in
        [(r"a\x", r"a\x"), (r"a\x2", r"a\x2"), (r"a\xzz", r"a\xzz"), (r"a\xff", "a\u{fffd}"), (r"\x41\x", r"A\x")]
    {
        assert_eq!(unescaped(name), text, "{name}");
    }
    assert_eq!(unescaped("\\x+1é"), "\\x+1é");
}
