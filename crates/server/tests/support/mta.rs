//! Debian's Postfix and Exim, each with a folder, a queue and a port of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::partners::Lab;
use crate::support::peers::{program, run, unpacked};
use crate::support::wait_for;

/// The mailbox that each peer has in its domain; nobody else is there.
pub const MAILBOX: &str = "bob";

/// A running mail server of somebody else's.
pub struct Mta {
    /// Its domain: `postfix.test` or `exim.test`.
    pub domain: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    log: PathBuf,
    folder: TempDir,
}

/// What a peer has to know of the server under test.
pub struct Other {
    /// The domain whose mail it sends there, under TLS with a proven certificate.
    pub domain: &'static str,
    /// The name in the certificate.
    pub host: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Mta {
    /// Starts Postfix on a port of loopback; mail for `other` is sent only to the host that
    /// the lab's authority vouches for.
    pub fn postfix(lab: &Lab, port: u16, other: &Other) -> Self {
        let (folder, owner) = prepare(lab, "postfix", "mx.postfix.test");
        let home = folder.path();
        let [queue, state, boxes] = ["queue", "state", "boxes"].map(|name| home.join(name));
        fs::create_dir(&queue).expect("a queue");
        for folder in [&state, &boxes] {
            fs::create_dir(folder).expect("a folder");
            chown(folder, Some(owner.0), Some(owner.1)).expect("its owner is changed");
        }
        let next = format!("[{}]:{}", other.address.ip(), other.address.port());
        let (here, (uid, gid)) = (home.display(), owner);
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {here}/queue\n\
             data_directory = {here}/state\n\
             command_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\n\
             setgid_group = postdrop\n\
             myhostname = mx.postfix.test\n\
             mydestination =\n\
             inet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\n\
             mynetworks = 127.0.0.1/32\n\
             local_header_rewrite_clients =\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_peername_lookup = no\n\
             smtputf8_enable = yes\n\
             alias_maps =\n\
             alias_database =\n\
             disable_dns_lookups = yes\n\
             smtp_host_lookup = native\n\
             minimal_backoff_time = 2s\n\
             queue_run_delay = 2s\n\
             transport_maps = inline:{{ {{{domain} = smtp:{next}}} }}\n\
             smtp_tls_policy_maps = inline:{{ {{{next} = secure match={host}}} }}\n\
             smtp_tls_security_level = encrypt\n\
             smtp_tls_CAfile = {here}/authority.pem\n\
             smtpd_tls_security_level = may\n\
             smtpd_tls_chain_files = {here}/key.pem, {here}/chain.pem\n\
             smtpd_tls_received_header = yes\n\
             virtual_mailbox_domains = postfix.test\n\
             virtual_mailbox_maps = inline:{{ {{{MAILBOX}@postfix.test = {MAILBOX}/}} }}\n\
             virtual_mailbox_base = {here}/boxes\n\
             virtual_uid_maps = static:{uid}\n\
             virtual_gid_maps = static:{gid}\n\
             maillog_file = {here}/log\n\
             maillog_file_prefixes = /\n",
            domain = other.domain,
            host = other.host,
        );
        let settings = home.join("settings");
        fs::create_dir(&settings).expect("a folder");
        fs::write(settings.join("main.cf"), main).expect("main.cf is written");
        let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{POSTFIX_PROCESSES}");
        fs::write(settings.join("master.cf"), master).expect("master.cf is written");
        let mut start = Command::new(program("postfix"));
        start.arg("-c").arg(&settings).arg("start-fg");
        Self::start("postfix.test", port, &mut start, folder, "log")
    }

    /// Starts Exim in the same way.
    pub fn exim(lab: &Lab, port: u16, other: &Other) -> Self {
        let (folder, owner) = prepare(lab, "Debian-exim", "mx.exim.test");
        let home = folder.path();
        for name in ["queue", "boxes"] {
            let folder = home.join(name);
            fs::create_dir(&folder).expect("a folder");
            chown(folder, Some(owner.0), Some(owner.1)).expect("its owner is changed");
        }
        // Whoever starts it with a configuration of its own loses root, so all is the user's.
        let binary = unpacked("exim4-daemon-light/usr/sbin/exim4");
        let here = home.display();
        let settings = format!(
            "exim_path = {binary}\n\
             spool_directory = {here}/queue\n\
             log_file_path = {here}/queue/%slog\n\
             pid_file_path = {here}/queue/pid\n\
             primary_hostname = mx.exim.test\n\
             qualify_domain = exim.test\n\
             local_interfaces = 127.0.0.1\n\
             daemon_smtp_ports = {port}\n\
             host_lookup =\n\
             rfc1413_query_timeout = 0s\n\
             tls_advertise_hosts = *\n\
             tls_certificate = {here}/chain.pem\n\
             tls_privatekey = {here}/key.pem\n\
             keep_environment =\n\
             never_users = root\n\
             smtputf8_advertise_hosts = *\n\
             dsn_advertise_hosts = *\n\
             chunking_advertise_hosts = *\n\
             bounce_return_message = true\n\
             acl_smtp_rcpt = rcpt\n\
             acl_smtp_data = data\n\
             begin acl\n\
             rcpt:\n  \
               accept domains = exim.test\n         local_parts = {MAILBOX}\n  \
               accept hosts = 127.0.0.1\n         domains = ! exim.test\n  \
               deny message = nobody of that name\n\
             data:\n  \
               accept\n\
             begin routers\n\
             box:\n  \
               driver = accept\n  domains = exim.test\n  local_parts = {MAILBOX}\n  transport = box\n\
             other:\n  \
               driver = manualroute\n  domains = {domain}\n  transport = other\n  \
               route_list = * {host}\n  host_find_failed = defer\n  self = send\n\
             begin transports\n\
             other:\n  \
               driver = smtp\n  port = {other_port}\n  allow_localhost\n  \
               hosts_require_tls = *\n  \
               tls_verify_certificates = {here}/authority.pem\n  \
               tls_verify_hosts = *\n  \
               tls_sni = {host_name}\n  \
               tls_verify_cert_hostnames = \n\
             box:\n  \
               driver = appendfile\n  maildir_format\n  create_directory\n  \
               directory = {here}/boxes/{MAILBOX}\n  \
               delivery_date_add\n  envelope_to_add\n  return_path_add\n  \
               user = {uid}\n  group = {gid}\n\
             begin retry\n\
             * * F,1h,2s\n",
            binary = binary.display(),
            domain = other.domain,
            host = other.address.ip(),
            host_name = other.host,
            other_port = other.address.port(),
            uid = owner.0,
            gid = owner.1,
        );
        let file = home.join("exim.conf");
        fs::write(&file, settings).expect("the settings are written");
        let mut start = Command::new(&binary);
        start.arg("-C").arg(&file).args(["-bdf", "-q2s"]);
        Self::start("exim.test", port, &mut start, folder, "queue/mainlog")
    }

    fn start(
        domain: &'static str,
        port: u16,
        start: &mut Command,
        folder: TempDir,
        log: &str,
    ) -> Self {
        let log = folder.path().join(log);
        let said = fs::File::create(folder.path().join("said")).expect("a file");
        let also = said.try_clone().expect("a file");
        let child = start.stdin(Stdio::null()).stdout(said).stderr(also).spawn();
        let child = child.unwrap_or_else(|error| panic!("{start:?}: {error}"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut mta = Self { domain, address, child, log, folder };
        let ready = wait_for(|| {
            if let Ok(Some(status)) = mta.child.try_wait() {
                panic!("{domain} ended with {status}\n{}", mta.log());
            }
            TcpStream::connect(address).ok()
        });
        assert!(ready.is_some(), "{domain} does not listen\n{}", mta.log());
        mta
    }

    /// The address of its mailbox.
    pub fn mailbox(&self) -> String {
        format!("{MAILBOX}@{}", self.domain)
    }

    /// Everything it has logged or printed.
    pub fn log(&self) -> String {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        format!("{}\n{}", read(&self.log), read(&self.folder.path().join("said")))
    }

    /// The messages in its mailbox, octet by octet.
    pub fn mail(&self) -> Vec<Vec<u8>> {
        let folder = self.folder.path().join("boxes").join(MAILBOX).join("new");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read(file.path()).ok()).collect()
    }

    /// Waits for a message in its mailbox with these octets in it.
    pub fn wait_for_mail(&self, with: &[u8]) -> Vec<u8> {
        let has = |mail: &Vec<u8>| mail.windows(with.len()).any(|window| window == with);
        wait_for(|| self.mail().into_iter().find(has)).unwrap_or_else(|| {
            panic!("no {:?} at {}\n{}", String::from_utf8_lossy(with), self.domain, self.log())
        })
    }
}

impl Drop for Mta {
    fn drop(&mut self) {
        // Its children end with it, as they do when an administrator stops it.
        if let Some(pid) =
            i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if wait_for(|| self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A folder that the peer's user may enter, with its certificate; and that user's numbers.
fn prepare(lab: &Lab, user: &str, host: &str) -> (TempDir, (u32, u32)) {
    let folder = TempDir::new().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let number = |option: &str| -> u32 {
        let said = run(Command::new(program("id")).args([option, user])).ok();
        said.trim().parse().expect("a number")
    };
    let owner = (number("-u"), number("-g"));
    let identity = lab.identity(host);
    for (name, text) in [
        ("authority.pem", lab.authority.pem()),
        ("chain.pem", identity.chain_pem().to_owned()),
        ("key.pem", identity.key_pem().to_owned()),
        ("log", String::new()),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file is written");
        chown(&file, Some(owner.0), Some(owner.1)).expect("its owner is changed");
    }
    (folder, owner)
}

const POSTFIX_PROCESSES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 2 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
