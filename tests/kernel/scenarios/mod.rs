//! The table of scenarios: one file each, and what they share.

mod acknowledgements_lost;
mod acting_users;
mod at_once_200;
mod audited;
mod audited_open;
mod backends_agree;
mod bad_line;
mod batched;
mod becomes_another;
mod big_tcp;
mod book_left_out;
mod bridged;
mod bulk_3gb;
mod by_class;
mod by_program_and_unit;
mod cast;
mod classes_followed;
mod closed_while_stopped;
mod comes_later;
pub(crate) mod counted;
mod directory_down;
mod directory_gone;
mod disconnected;
mod eight_threads;
mod fast_open;
mod fast_open_byte;
mod fchown;
mod filter_drops_90;
mod flooded;
mod forged_numbers;
mod forked_workers;
mod forwarded;
mod full_disk;
mod gone_5000;
mod half_close;
mod hijacked;
mod idle_floods;
mod installed;
mod interface_anew;
mod io_uring;
mod killed_and_followed;
mod killed_and_followed_by_another;
mod killed_and_followed_by_process;
mod killed_before_its_first_report;
mod killed_book;
mod ktls;
mod looked_at;
mod loopback_counted;
mod loopback_left_out;
mod low_water;
mod many_users;
mod masqueraded;
mod more_processes_than_rows;
mod moved_between_cgroups;
mod moved_by_process;
mod mpls_route;
mod mptcp;
mod mptcp_fchown;
mod named_interface;
mod never_read;
mod nonblocking;
mod nothing_a_byte;
mod older_connection;
mod older_half_closed;
mod only_a_family;
mod only_some_users;
mod only_what_fits_all;
mod open_while_stopped;
mod passed_descriptor;
mod peek;
mod peek_and_close;
mod pid_used_again;
mod ports_reused;
mod privileges_and_programs;
mod privileges_dropped;
mod privileges_kept;
mod processes_of_programs;
mod quick_ack;
mod quota;
mod random_lives;
mod redirected_to_self;
mod remote_reset;
mod reopen_on_sighup;
mod repair;
mod report_before_accept;
mod report_on_sigusr1;
mod reset;
mod ring_overflow;
mod routing_header;
mod rows_used_again;
mod scraped;
mod seg6_route;
mod selftest;
mod selftest_broken;
mod sendfile;
mod setuid_after_accept;
mod several_users;
mod short_connections_20k;
mod short_connections_2k;
mod slow_directory;
mod small_writes_300k;
mod splice;
mod spoofed_by_lo;
mod stacked_devices;
mod stop_before_accept;
mod stopped_and_followed;
mod subordinate_flood;
mod subordinate_users;
mod successors;
mod term_during_transfer;
mod truncated;
mod tun;
mod two_containers;
mod two_way;
mod under_systemd;
mod unread_at_close;
mod unseen_behind_drops;
mod unsent_of_former;
mod urgent;
mod vectored;
mod vlan;
mod wait_all;
mod waiting_send;
mod wire;
mod workers_by_process;
mod workers_outnumbered;
mod writers_in_turns;
mod zerocopy_receive;
mod zerocopy_send;

use anyhow::{Context as _, Result};

use crate::running::Running;
use crate::service::{Options, Service};
use crate::target::{Family, Target};
use crate::traffic::spec::{Program, Step};
use crate::truth::{By, Table};
use crate::world::{Cgroup, Namespace, World, address_of, listen_at};
use counted::{Counted, Counters};

/// All of them.
pub(crate) static ALL: &[Scenario] = &[
    acknowledgements_lost::SCENARIO,
    acting_users::SCENARIO,
    at_once_200::SCENARIO,
    audited::SCENARIO,
    audited_open::SCENARIO,
    backends_agree::SCENARIO,
    bad_line::SCENARIO,
    batched::SCENARIO,
    becomes_another::SCENARIO,
    big_tcp::SCENARIO,
    book_left_out::SCENARIO,
    bridged::SCENARIO,
    bulk_3gb::SCENARIO,
    by_class::SCENARIO,
    by_program_and_unit::SCENARIO,
    cast::SCENARIO,
    classes_followed::SCENARIO,
    closed_while_stopped::SCENARIO,
    comes_later::SCENARIO,
    directory_down::SCENARIO,
    directory_gone::SCENARIO,
    disconnected::SCENARIO,
    eight_threads::SCENARIO,
    fast_open::SCENARIO,
    fast_open_byte::SCENARIO,
    fchown::SCENARIO,
    filter_drops_90::SCENARIO,
    flooded::SCENARIO,
    forged_numbers::SCENARIO,
    forked_workers::SCENARIO,
    forwarded::SCENARIO,
    full_disk::SCENARIO,
    killed_before_its_first_report::SCENARIO,
    killed_book::SCENARIO,
    gone_5000::SCENARIO,
    half_close::SCENARIO,
    hijacked::SCENARIO,
    idle_floods::SCENARIO,
    installed::SCENARIO,
    interface_anew::SCENARIO,
    io_uring::SCENARIO,
    killed_and_followed::SCENARIO,
    killed_and_followed_by_another::SCENARIO,
    killed_and_followed_by_process::SCENARIO,
    ktls::SCENARIO,
    loopback_counted::SCENARIO,
    loopback_left_out::SCENARIO,
    looked_at::SCENARIO,
    low_water::SCENARIO,
    many_users::SCENARIO,
    masqueraded::SCENARIO,
    more_processes_than_rows::SCENARIO,
    moved_between_cgroups::SCENARIO,
    moved_by_process::SCENARIO,
    mpls_route::SCENARIO,
    mptcp::SCENARIO,
    mptcp_fchown::SCENARIO,
    named_interface::SCENARIO,
    never_read::SCENARIO,
    nonblocking::SCENARIO,
    older_connection::SCENARIO,
    older_half_closed::SCENARIO,
    open_while_stopped::SCENARIO,
    open_while_stopped::BY_PROCESS,
    nothing_a_byte::SCENARIO,
    only_a_family::SCENARIO,
    only_some_users::SCENARIO,
    only_what_fits_all::SCENARIO,
    passed_descriptor::SCENARIO,
    peek::SCENARIO,
    peek_and_close::SCENARIO,
    pid_used_again::SCENARIO,
    ports_reused::SCENARIO,
    privileges_and_programs::SCENARIO,
    privileges_dropped::SCENARIO,
    privileges_kept::SCENARIO,
    processes_of_programs::SCENARIO,
    quick_ack::SCENARIO,
    quota::SCENARIO,
    random_lives::SCENARIO,
    redirected_to_self::SCENARIO,
    remote_reset::SCENARIO,
    reopen_on_sighup::SCENARIO,
    repair::SCENARIO,
    report_before_accept::SCENARIO,
    report_on_sigusr1::SCENARIO,
    reset::SCENARIO,
    ring_overflow::SCENARIO,
    routing_header::SCENARIO,
    rows_used_again::SCENARIO,
    scraped::SCENARIO,
    seg6_route::SCENARIO,
    selftest::SCENARIO,
    selftest_broken::SCENARIO,
    sendfile::SCENARIO,
    setuid_after_accept::SCENARIO,
    several_users::SCENARIO,
    short_connections_20k::SCENARIO,
    short_connections_2k::SCENARIO,
    slow_directory::SCENARIO,
    small_writes_300k::SCENARIO,
    splice::SCENARIO,
    spoofed_by_lo::SCENARIO,
    stacked_devices::SCENARIO,
    stop_before_accept::SCENARIO,
    stopped_and_followed::SCENARIO,
    subordinate_flood::SCENARIO,
    subordinate_users::SCENARIO,
    subordinate_users::COME_LATER,
    term_during_transfer::SCENARIO,
    truncated::SCENARIO,
    tun::SCENARIO,
    two_containers::SCENARIO,
    two_way::SCENARIO,
    under_systemd::SCENARIO,
    unread_at_close::SCENARIO,
    unseen_behind_drops::SCENARIO,
    unsent_of_former::SCENARIO,
    urgent::SCENARIO,
    vectored::SCENARIO,
    vlan::SCENARIO,
    wait_all::SCENARIO,
    waiting_send::SCENARIO,
    workers_by_process::SCENARIO,
    workers_outnumbered::SCENARIO,
    writers_in_turns::SCENARIO,
    zerocopy_receive::SCENARIO,
    zerocopy_send::SCENARIO,
];

/// One row of the table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) families: &'static [Family],
    /// The same on a slow machine.
    pub(crate) families_when_small: &'static [Family],
    /// Whether it is run once for each backend on a slow machine, and not for each attach mode.
    pub(crate) once_when_small: bool,
    /// On which targets it makes sense.
    pub(crate) targets: fn(Target) -> bool,
    /// What it needs and is not there.
    pub(crate) needs: fn(Family) -> Option<&'static str>,
    pub(crate) run: fn(&Test) -> Result<()>,
}

impl Scenario {
    /// On every target, over IPv4.
    const fn new(name: &'static str, run: fn(&Test) -> Result<()>) -> Self {
        let families = &[Family::Ipv4];
        let (targets, needs): (fn(_) -> _, fn(_) -> _) = (|_| true, |_| None);
        Self { name, families, families_when_small: families, once_when_small: false, targets, needs, run }
    }

    const fn families(self, families: &'static [Family]) -> Self {
        Self { families, families_when_small: families, ..self }
    }

    /// Over IPv6, too, but not on a slow machine: there other scenarios show that IPv6 is counted.
    const fn over_both(self) -> Self {
        Self { families: BOTH, ..self }
    }

    /// About accounts or the service itself, which are the same behind every hook.
    const fn behind_the_hooks(self) -> Self {
        Self { once_when_small: true, ..self }
    }

    const fn targets(self, targets: fn(Target) -> bool) -> Self {
        Self { targets, ..self }
    }

    const fn needs(self, needs: fn(Family) -> Option<&'static str>) -> Self {
        Self { needs, ..self }
    }
}

/// Whether processes have other numbers for us than for the kernel, as in a container.
fn no_host_pids(_: Family) -> Option<&'static str> {
    /// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`.
    const FIRST: &str = "pid:[4026531836]";
    let is_first = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own.as_os_str() == FIRST);
    (!is_first).then_some("this is not the host's own pid namespace")
}

/// Whether the service cannot be given a directory of users of its own.
fn no_directory(_: Family) -> Option<&'static str> {
    crate::service::no_directory()
}

/// Whether no cgroup can be made.
fn no_cgroups(_: Family) -> Option<&'static str> {
    let probe = Cgroup::new(&format!("trafcalc-probe-{}", std::process::id()));
    probe.is_err().then_some("no cgroup can be made here")
}

const BOTH: &[Family] = &[Family::Ipv4, Family::Ipv6];
const BOTH_AND_MAPPED: &[Family] = &[Family::Ipv4, Family::Ipv6, Family::Mapped];

/// The user of the client in scenarios with one, and of the server. Nobody else on the host has these numbers.
const CLIENT: u32 = 70_020_001;
const SERVER: u32 = 70_020_002;

/// What a scenario is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) target: Target,
    pub(crate) family: Family,
    pub(crate) small: bool,
}

impl Test {
    fn is_packet(&self) -> bool {
        self.target == Target::Packet
    }

    /// A volume for this machine.
    fn volume<T>(&self, full: T, small: T) -> T {
        if self.small { small } else { full }
    }

    /// How often the service is killed: as often as `TRAFCALC_TEST_KILLS` says, else as befits this machine.
    fn kills(&self, full: u32, small: u32) -> Result<u32> {
        match std::env::var("TRAFCALC_TEST_KILLS") {
            Ok(number) => number.parse().with_context(|| format!("TRAFCALC_TEST_KILLS={number}")),
            Err(_) => Ok(self.volume(full, small)),
        }
    }

    /// Starts counting both ends of `world` with the defaults, by a service that may have run for a while.
    fn count(&self, world: &World) -> Result<Counters> {
        match self.target {
            Target::Packet => self.count_with(world, &Options::default()),
            Target::Ebpf(_) | Target::Events(_) => Counters::lasting(self.target),
        }
    }

    /// Starts counting both ends of `world` by services of its own.
    fn count_with(&self, world: &World, options: &Options) -> Result<Counters> {
        self.start(world, options).map(Counters::Own)
    }

    /// Starts counting both ends of `world` by something else than users.
    fn count_by(&self, world: &World, what: By) -> Result<Counters> {
        self.count_with(world, &Options::default().argument(&what.option()))
    }

    /// Starts services that together count both ends of `world`.
    fn start(&self, world: &World, options: &Options) -> Result<Vec<Service>> {
        let scopes = match self.target {
            Target::Packet => vec![&world.near, &world.far],
            Target::Ebpf(_) | Target::Events(_) => vec![&world.near],
        };
        let spawn = |namespace| Service::spawn(self.target, namespace, options);
        let mut services = scopes.into_iter().map(spawn).collect::<Result<Vec<_>>>()?;
        services.iter_mut().try_for_each(Service::wait_until_ready)?;
        Ok(services)
    }

    fn client(&self, steps: impl Into<Vec<Step>>) -> Program {
        Program::connect(CLIENT, address_of(self.family, 0, 2), self.lasting(steps))
    }

    fn server(&self, steps: impl Into<Vec<Step>>) -> Program {
        Program::listen(SERVER, listen_at(self.family), self.lasting(steps))
    }

    /// These steps, and then open as long as a request over a real network takes: packet can only ask whose a
    /// connection is while it is there. Scenarios about something else than short connections let theirs last.
    fn lasting(&self, steps: impl Into<Vec<Step>>) -> Vec<Step> {
        let mut steps = steps.into();
        if self.is_packet() {
            steps.push(Step::Pause(self.volume(50, 100)));
        }
        steps
    }

    /// These steps, and then open until a packet backend has found even the process, which takes a look at those of the
    /// host.
    fn lasting_longer(&self, steps: impl Into<Vec<Step>>) -> Vec<Step> {
        let mut steps = steps.into();
        if self.is_packet() {
            steps.push(Step::Pause(self.volume(500, 3_000)));
        }
        steps
    }

    /// Runs one client near and one server far while both are counted; every byte must be right.
    fn exchange(&self, client: Program, server: Program) -> Result<()> {
        let world = World::new()?;
        let counters = self.count(&world)?;
        let truth = run_all([(&world.far, server), (&world.near, client)])?;
        counters.stop()?.must_equal(&truth)
    }
}

/// Runs programs, those that listen first in the list, until all have ended and their connections are closed.
fn run_all<'a>(programs: impl IntoIterator<Item = (&'a Namespace, Program)>) -> Result<Table> {
    run_actors(programs).map(|table| table.by(By::USER))
}

/// The same, and gives what each process says.
fn run_actors<'a>(programs: impl IntoIterator<Item = (&'a Namespace, Program)>) -> Result<Table> {
    let start = |(namespace, program)| Ok((namespace, Running::start(&program, namespace)?));
    finish_actors(programs.into_iter().map(start).collect::<Result<Vec<_>>>()?)
}

/// Starts a server far and a client near, and waits until both hold.
fn start_and_hold(world: &World, server: &Program, client: &Program) -> Result<(Running, Running)> {
    let (mut server, mut client) = (Running::start(server, &world.far)?, Running::start(client, &world.near)?);
    server.wait_for_hold()?;
    client.wait_for_hold()?;
    Ok((server, client))
}

/// Lets both go on that hold, and waits until they have ended and their connections are closed.
fn go_on_and_finish(world: &World, mut server: Running, mut client: Running) -> Result<Table> {
    server.go_on()?;
    client.go_on()?;
    finish_all([(&world.far, server), (&world.near, client)])
}

/// Waits until all have ended and their connections are closed.
fn finish_all<'a>(programs: impl IntoIterator<Item = (&'a Namespace, Running)>) -> Result<Table> {
    finish_actors(programs).map(|table| table.by(By::USER))
}

/// The same, and gives what each process says.
fn finish_actors<'a>(programs: impl IntoIterator<Item = (&'a Namespace, Running)>) -> Result<Table> {
    let mut truth = Table::default();
    let mut namespaces = Vec::new();
    for (namespace, program) in programs {
        truth.merge(program.finish()?);
        namespaces.push(namespace);
    }
    namespaces.into_iter().try_for_each(Namespace::wait_until_closed)?;
    Ok(truth)
}
