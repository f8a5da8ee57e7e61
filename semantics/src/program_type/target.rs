//! Functions of the kernel that programs are attached to: their arguments, as far as they are known here.

use super::AttachType;
use crate::program::Program;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Number,
    /// The address of an object of the kernel of this type.
    Object(&'static str),
    /// Another address, which programs may not load (`btf_ctx_access`: no structure).
    Pointer,
}

/// A function, or a hook.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    arguments: &'static [Argument],
    /// What it returns; `None` for nothing.
    pub result: Option<Argument>,
    /// Whether programs that sleep may be attached to it.
    pub may_sleep: bool,
}

use Argument::{Number, Object, Pointer};

const fn function(
    name: &'static str,
    arguments: &'static [Argument],
    result: Option<Argument>,
    may_sleep: bool,
) -> Function {
    Function { name, arguments, result, may_sleep }
}

const INT: Option<Argument> = Some(Number);

/// Those of `net/bpf/test_run.c`, and what programs are commonly attached to.
const FUNCTIONS: [Function; 22] = [
    function("bpf_fentry_test1", &[Number], INT, true),
    function("bpf_fentry_test2", &[Number, Number], INT, false),
    function("bpf_fentry_test3", &[Number, Number, Number], INT, false),
    function("bpf_fentry_test4", &[Pointer, Number, Number, Number], INT, false),
    function("bpf_fentry_test5", &[Number, Pointer, Number, Number, Number], INT, false),
    function("bpf_fentry_test6", &[Number, Pointer, Number, Number, Pointer, Number], INT, false),
    function("bpf_fentry_test7", &[Object("bpf_fentry_test_t")], INT, false),
    function("bpf_fentry_test8", &[Object("bpf_fentry_test_t")], INT, false),
    function("bpf_modify_return_test", &[Number, Pointer], INT, true),
    function("dentry_open", &[Object("path"), Number, Object("cred")], Some(Object("file")), false),
    function("vfs_truncate", &[Object("path"), Number], INT, false),
    function("vfs_fallocate", &[Object("file"), Number, Number, Number], INT, false),
    function("vfs_getattr", &[Object("path"), Object("kstat"), Number, Number], INT, false),
    function("filp_close", &[Object("file"), Pointer], INT, false),
    function("do_unlinkat", &[Number, Object("filename")], INT, false),
    function("bpf", &[Number, Pointer, Number], INT, true),
    function("file_open", &[Object("file")], INT, true),
    function("file_mprotect", &[Object("vm_area_struct"), Number, Number], INT, true),
    function("bprm_committed_creds", &[Object("linux_binprm")], None, true),
    function("bprm_check_security", &[Object("linux_binprm")], INT, true),
    function("inode_unlink", &[Object("inode"), Object("dentry")], INT, true),
    function("task_free", &[Object("task_struct")], None, false),
];

/// The function of this name; hooks of security modules without the prefix `bpf_lsm_`.
pub fn find(name: &str) -> Option<&'static Function> {
    let name = name.strip_prefix("bpf_lsm_").unwrap_or(name);
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// What the program is attached to, as far as it is known.
pub fn of(program: &Program) -> Option<&'static Function> {
    program.load().attach_to.as_deref().and_then(find)
}

impl Function {
    /// How many arguments it has.
    pub fn count(&self) -> u32 {
        self.arguments.len() as u32
    }
    /// What lies in word `number` of the context: the arguments, and behind them the result where the program sees it.
    pub fn argument(&self, number: usize, attach: Option<AttachType>) -> Option<Argument> {
        let sees_result = matches!(attach, Some(AttachType::TraceFexit | AttachType::ModifyReturn));
        let result = self.result.filter(|_| sees_result && number == self.arguments.len());
        self.arguments.get(number).copied().or(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_lie_behind_arguments() {
        let open = find("dentry_open").unwrap();
        assert_eq!(open.argument(0, Some(AttachType::TraceFentry)), Some(Object("path")));
        assert_eq!(open.argument(3, Some(AttachType::TraceFentry)), None);
        assert_eq!(open.argument(3, Some(AttachType::TraceFexit)), Some(Object("file")));
        assert!(find("bpf_lsm_file_open").is_some() && find("no_such_function").is_none());
    }
}
