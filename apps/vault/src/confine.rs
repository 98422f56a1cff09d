//! What a process gives up once it has begun, on Linux: the vault everything but its own directory and sockets, the window everything but its own
//! directory, the user's socket and the callers on its port, the node the vault's keys, log and token, and other people's files.
//!
//! Landlock takes away paths, TCP and signals; seccomp takes away system calls. Neither can be taken back, and both pass to threads that are
//! started later, not to those that run already: a process gives up first, and starts its threads then.
//!
//! What a kernel does not know is left out, and said so ([`Confinement`]). Connecting to a Unix socket by its path is not kept from the node
//! by kernels before 7.1; the user's socket therefore wants a token from a file, which is. Elsewhere than on Linux nothing is given up.

use std::fmt;
use std::path::{Path, PathBuf};

/// What a process has given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Files, TCP and signals, as far as it is said (Landlock).
    pub paths: Extent,
    /// System calls (seccomp).
    pub calls: Extent,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All that was asked for.
    Whole,
    /// As far as this kernel can.
    Part,
    /// Nothing: this system cannot.
    #[default]
    Nothing,
}

/// Why a process that could give something up did not. It should not go on.
#[derive(Debug, thiserror::Error)]
#[error("the process cannot give up what it does not need: {0}")]
pub struct ConfineError(String);

/// Paths that a node needs.
#[derive(Clone, Debug, Default)]
pub struct NodePaths {
    /// Files and directories that it reads.
    pub read: Vec<PathBuf>,
    /// Directories in which it does what it likes. They are there.
    pub write: Vec<PathBuf>,
}

impl Confinement {
    /// Whether everything was given up that could be asked for.
    pub fn is_whole(self) -> bool {
        (self.paths, self.calls) == (Extent::Whole, Extent::Whole)
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |extent| match extent {
            Extent::Whole => "given up",
            Extent::Part => "given up as far as this kernel can",
            Extent::Nothing => "not given up: this system cannot",
        };
        write!(f, "files and network: {}; system calls: {}", word(self.paths), word(self.calls))
    }
}

/// Confines the vault to the directory `dir`: it opens no file elsewhere, no network, starts no program, and nobody reads its memory. If it
/// works with a foreign library, that one has what it `needs`, and may look into directories and lock files.
///
/// # Errors
/// The kernel can, and refused.
pub fn vault(dir: &Path, needs: Option<&[PathBuf]>) -> Result<Confinement, ConfineError> {
    #[cfg(target_os = "linux")]
    return linux::vault(dir, needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (dir, needs);
        Ok(Confinement::default())
    }
}

/// Confines a node to its paths and the network: it starts no program, and looks into no other process.
///
/// # Errors
/// The kernel can, and refused.
pub fn node(paths: &NodePaths) -> Result<Confinement, ConfineError> {
    #[cfg(target_os = "linux")]
    return linux::node(paths);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = paths;
        Ok(Confinement::default())
    }
}

/// Confines the window of the vault in the directory `vault`, whose port is bound: it reads the token of the user's side, writes to its own
/// directory `own`, takes calls on its port, calls nobody but by a Unix socket, starts no program, and nobody reads its memory.
///
/// # Errors
/// The kernel can, and refused.
pub fn window(vault: &Path, own: &Path) -> Result<Confinement, ConfineError> {
    #[cfg(target_os = "linux")]
    return linux::window(vault, own);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (vault, own);
        Ok(Confinement::default())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fmt::Display;
    use std::path::{Path, PathBuf};

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr as _, RulesetCreated,
        RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
    };
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, apply_filter_all_threads,
    };

    use super::{ConfineError, Confinement, Extent, NodePaths};
    use crate::wire::USER_DIR;

    /// The newest rights of Landlock that these rules were tried with.
    const TRIED: ABI = ABI::V6;
    /// Where a node finds the certification authorities, its resolver and the time zones, and the libraries that the resolver loads.
    const SYSTEM: &[&str] = &["/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/proc", "/sys/fs/cgroup"];
    /// What a page's dates need.
    const TIME_ZONES: &[&str] = &["/etc/localtime", "/usr/share/zoneinfo"];
    /// Devices that any process may use.
    const DEVICES: &[&str] = &["/dev/null", "/dev/urandom", "/dev/random", "/dev/tty"];

    pub(super) fn vault(dir: &Path, needs: Option<&[PathBuf]>) -> Result<Confinement, ConfineError> {
        // Neither a debugger nor a core file gets at the keys.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
        let ruleset = no_files_no_network()
            .and_then(|rules| rules.add_rules(path_beneath_rules([dir], writes())))
            .and_then(|rules| rules.add_rules(path_beneath_rules(needs.unwrap_or_default(), writes())));
        let paths = extent(ruleset.and_then(RulesetCreated::restrict_self).map_err(failed)?.ruleset);
        // What is not on the list is answered as by a kernel that does not know it: libraries then do without it.
        let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let foreign = needs.map(|_| foreign_calls()).unwrap_or_default();
        let allowed = vault_calls().into_iter().chain(foreign).map(|call| (call, Vec::new()));
        let allowed = allowed.chain([(libc::SYS_socket, vec![unix_socket()?]), (libc::SYS_clone, vec![thread()?])]);
        let calls = filter(allowed.collect(), unknown, SeccompAction::Allow)?;
        Ok(Confinement { paths, calls })
    }

    pub(super) fn node(paths: &NodePaths) -> Result<Confinement, ConfineError> {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(TRIED))
            .and_then(|rules| rules.scope(Scope::from_all(TRIED)))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(SYSTEM, reads())))
            .and_then(|rules| rules.add_rules(path_beneath_rules(DEVICES, reads() | AccessFs::WriteFile)))
            .and_then(|rules| rules.add_rules(path_beneath_rules(&paths.read, reads())))
            .and_then(|rules| rules.add_rules(path_beneath_rules(&paths.write, writes())));
        let paths = extent(ruleset.and_then(RulesetCreated::restrict_self).map_err(failed)?.ruleset);
        let forbidden = node_forbidden().into_iter().map(|call| (call, Vec::new())).collect();
        let calls = filter(forbidden, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.unsigned_abs()))?;
        Ok(Confinement { paths, calls })
    }

    pub(super) fn window(vault: &Path, own: &Path) -> Result<Confinement, ConfineError> {
        // Passphrases go through it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)?;
        let ruleset = no_files_no_network()
            .and_then(|rules| rules.add_rules(path_beneath_rules(TIME_ZONES, reads())))
            .and_then(|rules| rules.add_rules(path_beneath_rules([vault.join(USER_DIR)], reads())))
            .and_then(|rules| rules.add_rules(path_beneath_rules([own], writes())));
        let paths = extent(ruleset.and_then(RulesetCreated::restrict_self).map_err(failed)?.ruleset);
        let forbidden = node_forbidden().into_iter().map(|call| (call, Vec::new()));
        let forbidden = forbidden.chain([(libc::SYS_socket, vec![other_socket()?])]).collect();
        let calls = filter(forbidden, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.unsigned_abs()))?;
        Ok(Confinement { paths, calls })
    }

    /// Nothing of the file system, no connection and no other process, until rules allow more.
    fn no_files_no_network() -> Result<RulesetCreated, RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(TRIED))
            .and_then(|rules| rules.handle_access(AccessNet::from_all(TRIED)))
            .and_then(|rules| rules.scope(Scope::from_all(TRIED)))
            .and_then(Ruleset::create)
    }

    /// Reading, and not starting what is read as a program.
    fn reads() -> BitFlags<AccessFs> {
        AccessFs::ReadFile | AccessFs::ReadDir
    }

    fn writes() -> BitFlags<AccessFs> {
        AccessFs::from_all(TRIED) & !BitFlags::from(AccessFs::Execute)
    }

    fn extent(status: RulesetStatus) -> Extent {
        match status {
            RulesetStatus::FullyEnforced => Extent::Whole,
            RulesetStatus::PartiallyEnforced => Extent::Part,
            RulesetStatus::NotEnforced => Extent::Nothing,
        }
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    fn filter(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<Extent, ConfineError> {
        // A processor for which there are no filters.
        let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(Extent::Nothing) };
        let filter = SeccompFilter::new(rules, others, these, arch).map_err(failed)?;
        let program = BpfProgram::try_from(filter).map_err(failed)?;
        match apply_filter_all_threads(&program) {
            Ok(()) => Ok(Extent::Whole),
            // A kernel without filters.
            Err(seccompiler::Error::Seccomp(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
                Ok(Extent::Nothing)
            }
            Err(seccompiler::Error::Seccomp(error)) if error.raw_os_error() == Some(libc::ENOSYS) => {
                Ok(Extent::Nothing)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn unix_socket() -> Result<SeccompRule, ConfineError> {
        let family = u64::from(libc::AF_UNIX.unsigned_abs());
        argument(SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family))
    }

    /// A socket of any other family than Unix: the window has its port already.
    fn other_socket() -> Result<SeccompRule, ConfineError> {
        let family = u64::from(libc::AF_UNIX.unsigned_abs());
        argument(SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family))
    }

    /// A thread of this process, and no other process.
    fn thread() -> Result<SeccompRule, ConfineError> {
        let flag = u64::from(libc::CLONE_THREAD.unsigned_abs());
        argument(SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag))
    }

    fn argument(condition: Result<SeccompCondition, seccompiler::BackendError>) -> Result<SeccompRule, ConfineError> {
        SeccompRule::new(vec![condition.map_err(failed)?]).map_err(failed)
    }

    fn failed(error: impl Display) -> ConfineError {
        ConfineError(error.to_string())
    }

    /// What the vault calls after it has begun: its memory and threads, its files, its sockets, time and chance.
    fn vault_calls() -> Vec<i64> {
        let mut calls = vec![
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_set_robust_list,
            libc::SYS_rseq,
            libc::SYS_sched_yield,
            libc::SYS_sched_getaffinity,
            libc::SYS_sigaltstack,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_restart_syscall,
            libc::SYS_gettid,
            libc::SYS_getpid,
            libc::SYS_tgkill,
            libc::SYS_geteuid,
            libc::SYS_getuid,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_prctl,
            libc::SYS_membarrier,
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_readv,
            libc::SYS_writev,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
            libc::SYS_lseek,
            libc::SYS_close,
            libc::SYS_fcntl,
            libc::SYS_dup,
            libc::SYS_openat,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_ftruncate,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_unlinkat,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_connect,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_shutdown,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_ppoll,
            libc::SYS_clock_gettime,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_getrandom,
        ];
        #[cfg(target_arch = "x86_64")]
        calls.extend([libc::SYS_open, libc::SYS_stat, libc::SYS_poll, libc::SYS_rename, libc::SYS_unlink]);
        calls
    }

    /// What a token's module calls besides: it has files of its own, or asks a service by a socket.
    fn foreign_calls() -> Vec<i64> {
        let mut calls =
            vec![libc::SYS_getdents64, libc::SYS_flock, libc::SYS_faccessat, libc::SYS_umask, libc::SYS_mkdirat];
        #[cfg(target_arch = "x86_64")]
        calls.extend([libc::SYS_access, libc::SYS_lstat, libc::SYS_mkdir]);
        calls
    }

    /// What no node has any use for, and what has been a way out of a confinement before. That it starts no program and looks into no other
    /// process is kept by Landlock as well.
    fn node_forbidden() -> Vec<i64> {
        vec![
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_keyctl,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_open_by_handle_at,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            libc::SYS_swapon,
            libc::SYS_reboot,
        ]
    }
}
