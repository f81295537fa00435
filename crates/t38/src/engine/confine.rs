//! What the process with the fax machine gives up before it reads what a stranger sent.
//!
//! C reads it, and C may be made to do anything. So it can do little: no sockets, no programs,
//! no other processes (seccomp), no file but the one in memory that it has (Landlock), and no
//! more memory and time than fixed limits.

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Memory, in octets.
const MEMORY_MAX_OCTETS: u64 = 512 * 1024 * 1024;
/// Time of the processor, in seconds; a page takes a fraction of one.
const CPU_MAX_SECS: u64 = 300;
/// Standard input, output and error, the file of pages, and that file opened again.
const OPEN_FILES: u64 = 5;

/// What it may ask of the kernel; anything else is refused as not permitted.
const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    // The file of pages by its place below /proc: Landlock refuses every other.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fcntl,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives it up. There is no way back.
///
/// # Errors
///
/// When the kernel does not do one of these; then the process must not go on.
pub fn confine(file_max_octets: u64) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::As, MEMORY_MAX_OCTETS),
        (Resource::Cpu, CPU_MAX_SECS),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Nproc, 0),
        (Resource::Fsize, file_max_octets),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    // Every right over files that the kernel knows is taken, and none is given. This sets
    // "no new privileges" too, which the filter needs.
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(io::Error::other)?;
    if restricted.ruleset == RulesetStatus::NotEnforced || !restricted.no_new_privs {
        return Err(io::Error::other("this kernel has no Landlock (Linux 5.13 and later do)"));
    }
    let calls: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(
        calls,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into().map_err(io::Error::other)?,
    );
    let program: BpfProgram = filter.and_then(BpfProgram::try_from).map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io::{Read, Write};
    use std::net::{TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::process::Command;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    const PROBE: &str = "engine::confine::tests::probe";

    /// A thread cannot go back, so the probe is a process of its own.
    #[test]
    fn a_process_that_gave_up_has_its_own_file_and_nothing_else() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([PROBE, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("confined: the file is there"), "{said}");
        assert!(output.status.success(), "{said}");
    }

    #[test]
    #[ignore = "gives up the rights of its process; the test above runs it in another"]
    fn probe() {
        let mut file = File::from(memfd_create("pages", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(b"pages").unwrap();
        confine(1_000).unwrap();
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut octets = Vec::new();
        let mut again = OpenOptions::new().read(true).write(true).open(&own).unwrap();
        again.read_to_end(&mut octets).unwrap();
        assert_eq!(octets, b"pages");
        for path in ["/etc/passwd", "/etc/hostname", "/proc/self/environ", "/", "/tmp"] {
            assert!(File::open(path).is_err(), "{path} can be opened");
        }
        assert!(fs::write("/tmp/t38-probe", b"x").is_err());
        assert!(TcpStream::connect("127.0.0.1:9").is_err_and(|e| is_forbidden(&e)));
        assert!(UdpSocket::bind("127.0.0.1:0").is_err_and(|e| is_forbidden(&e)));
        assert!(Command::new("/bin/true").status().is_err());
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        println!("confined: the file is there");
    }

    fn is_forbidden(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::EPERM)
    }
}
