//! A real attacker in a network namespace of its own, banned by the real Fail2Ban with the
//! shipped filter and jail, or by the server itself. Needs root.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::namespaces::{ATTACKER, HONEST, Namespaces, SERVER};
use support::{shown, wait_for};
use tempfile::TempDir;

/// Sign-ins the attacker tries, at most.
const GUESSES: usize = 8;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Starts the server in its namespace, on the ports that the shipped jail protects.
fn serve(world: &mut Namespaces, folder: &Path, more: &str) -> PathBuf {
    let dir = folder.display();
    let text = format!(
        "hostname mail.test\ndata {dir}/data\nsender-authentication {{ mode off }}\n\
         certificate mail {{ local-authority }}\n\
         listener mx {{ address {SERVER}; port 25; tls starttls; certificate mail }}\n\
         listener submission {{ address {SERVER}; port 587; tls starttls; certificate mail }}\n\
         domain clinic.example {{ deliver-to maildir {dir}/maildir; recipients accounts }}\n\
         {more}\n"
    );
    let (conf, log) = (folder.join("mailkeep.conf"), folder.join("mailkeep.log"));
    fs::write(&conf, text).expect("written");
    let mut command = world.inside(env!("CARGO_BIN_EXE_mailkeep"));
    world.keep(command.arg("--config").arg(&conf).arg("serve"), &log);
    world.wait_until_served(HONEST, 25, true);
    log
}

fn mailkeep(folder: &Path, arguments: &[&str]) -> String {
    let conf = folder.join("mailkeep.conf");
    let output = Command::new(env!("CARGO_BIN_EXE_mailkeep"))
        .arg("--config")
        .arg(conf)
        .args(arguments)
        .output()
        .expect("mailkeep");
    assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Debian's configuration with what we ship, and the least that a namespace needs: the log
/// in a file, a short ban, and places of the test's own.
fn fail2ban(folder: &Path, log: &Path) -> PathBuf {
    let config = folder.join("fail2ban");
    let copied = Command::new("cp").args(["-r", "/etc/fail2ban"]).arg(&config).status();
    assert!(copied.is_ok_and(|status| status.success()), "Debian's fail2ban is installed");
    fs::remove_dir_all(config.join("jail.d")).expect("removed");
    fs::create_dir(config.join("jail.d")).expect("made");
    for part in ["filter.d", "jail.d"] {
        let shipped = repository().join("packaging/fail2ban").join(part).join("mailkeep.conf");
        fs::copy(shipped, config.join(part).join("mailkeep.conf")).expect("copied");
    }
    let jail = format!(
        "[DEFAULT]\nbanaction = nftables[type=multiport]\n[mailkeep]\nbackend = polling\n\
         logpath = {}\njournalmatch =\nbantime = 12s\n",
        log.display()
    );
    fs::write(config.join("jail.d/of-the-test.local"), jail).expect("written");
    let here = folder.display();
    let server = format!(
        "[DEFAULT]\nloglevel = INFO\nlogtarget = {here}/fail2ban.log\n\
         dbfile = {here}/fail2ban.sqlite3\nsocket = {here}/fail2ban.sock\n\
         pidfile = {here}/fail2ban.pid\n"
    );
    fs::write(config.join("fail2ban.local"), server).expect("written");
    config
}

/// One failed sign-in. A guess that is under way when the ban comes is not waited for.
fn guess(world: &Namespaces, banned: impl Fn() -> bool) {
    let mut guess = world
        .outside("swaks")
        .args(["--server", &format!("{SERVER}:587"), "--local-interface", ATTACKER])
        .args(["--tls", "--auth", "PLAIN", "--auth-user", "ann@clinic.example"])
        .args(["--auth-password", "guess", "--helo", "attacker.example", "--timeout", "15"])
        .args(["--from", "x@example.net", "--to", "ann@clinic.example", "--quit-after", "AUTH"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swaks");
    let ended = wait_for(|| match guess.try_wait().expect("a child") {
        None if banned() => Some(None),
        ended => ended.map(Some),
    });
    let _ = guess.kill();
    let _ = guess.wait();
    let ended = ended.expect("swaks ends");
    assert!(ended.is_none_or(|status| !status.success()), "the password is wrong");
}

#[test]
fn fail2ban_with_the_shipped_jail_bans_a_guesser_and_lets_it_back() {
    let folder = TempDir::new().expect("a folder");
    let mut world = Namespaces::new();
    // The server's own ban is switched off: this is Fail2Ban's work.
    let log = serve(&mut world, folder.path(), "bans { incidents off }");
    let config = fail2ban(folder.path(), &log);
    let mut command = world.inside("fail2ban-server");
    world.keep(
        command.arg("-c").arg(&config).args(["-x", "-f", "start"]),
        &folder.path().join("fail2ban.out"),
    );
    let told = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap_or_default();
    let started =
        wait_for(|| told("fail2ban.log").contains("Jail 'mailkeep' started").then_some(()));
    assert!(started.is_some(), "{}{}", told("fail2ban.out"), told("fail2ban.log"));

    world.wait_until_served(ATTACKER, 587, true);
    let banned = || told("fail2ban.log").contains(&format!("[mailkeep] Ban {ATTACKER}"));
    for _ in 0..GUESSES {
        if !banned() {
            guess(&world, banned);
        }
    }
    assert!(
        wait_for(|| banned().then_some(())).is_some(),
        "{}{}",
        told("fail2ban.log"),
        told("mailkeep.log")
    );
    let mut rules = String::new();
    let blocked = wait_for(|| {
        let listed = world.inside("nft").args(["list", "ruleset"]).output().expect("nft");
        rules = shown(&listed);
        (rules.contains(ATTACKER) && !world.is_served(ATTACKER, 587)).then_some(())
    });
    assert!(blocked.is_some(), "{rules}\n{}", told("fail2ban.log"));
    assert!(world.is_served(HONEST, 587), "somebody else is served all the time");
    world.wait_until_served(ATTACKER, 587, true);
    assert!(told("fail2ban.log").contains(&format!("[mailkeep] Unban {ATTACKER}")));
    assert!(mailkeep(folder.path(), &["ban", "list"]).contains("Nobody is banned"));
}

#[test]
fn attacks_end_in_a_ban_or_in_nothing_and_others_are_served_meanwhile() {
    let folder = TempDir::new().expect("a folder");
    let mut world = Namespaces::new();
    let limits = "limits { connections-per-network 40 }\ntimeouts { command 3s }\n\
                  flow { client-rate 100 10s }\nbans { incidents 5; weight flood 1 }";
    serve(&mut world, folder.path(), limits);
    let script = repository().join("tests/interop/attack.py");
    for (kind, leads_to_ban) in
        [("slow", false), ("scan", true), ("junk", true), ("inject", true), ("flood", true)]
    {
        let mut attack = world
            .outside("python3")
            .arg(&script)
            .args([kind, SERVER, "25"])
            .stdout(Stdio::null())
            .spawn()
            .expect("python3");
        let honest = (0..3).filter(|_| world.is_served(HONEST, 587)).count();
        let ended = wait_for(|| attack.try_wait().expect("a child"));
        let _ = attack.kill();
        let _ = attack.wait();
        assert!(ended.is_some(), "{kind} went on");
        assert_eq!(honest, 3, "{kind} kept others from being served");
        let bans = mailkeep(folder.path(), &["ban", "list"]);
        assert_eq!(bans.contains(ATTACKER), leads_to_ban, "{kind}: {bans}");
        assert_eq!(world.is_served(ATTACKER, 587), !leads_to_ban, "{kind}");
        if leads_to_ban {
            mailkeep(folder.path(), &["ban", "remove", ATTACKER]);
        }
        world.wait_until_served(ATTACKER, 25, true);
    }
}
