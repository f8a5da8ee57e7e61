//! Files, directories, mounts, and block devices.

use super::{Decl, Field, Of, field, pointer, record};

#[rustfmt::skip]
pub(super) const DECLARATIONS: &[Decl] = &[
    record("qstr", &[field("", Of::Anonymous { union: true, fields: &[field("", Of::Anonymous { union: false, fields: &[field("hash", Of::Type("u32")), field("len", Of::Type("u32"))] }), field("hash_len", Of::Type("u64"))] }), field("name", Of::Pointer(&Of::U8))]),
    record("path", &[field("mnt", pointer!("vfsmount")), field("dentry", pointer!("dentry"))]),
    record("dentry", &[field("d_flags", Of::U32), field("d_parent", pointer!("dentry")), field("d_name", Of::Struct("qstr")), field("d_inode", pointer!("inode")), field("d_iname", Of::Array(&Of::U8, 40)), field("d_op", pointer!("dentry_operations")), field("d_sb", pointer!("super_block"))]),
    record("vfsmount", &[field("mnt_root", pointer!("dentry")), field("mnt_sb", pointer!("super_block")), field("mnt_flags", Of::INT)]),
    record("mount", &[field("mnt_parent", pointer!("mount")), field("mnt_mountpoint", pointer!("dentry")), field("mnt", Of::Struct("vfsmount")), field("mnt_devname", Of::Pointer(&Of::CHAR)), field("mnt_ns", pointer!("mnt_namespace")), field("mnt_id", Of::INT)]),
    record("file_system_type", &[field("name", Of::Pointer(&Of::CHAR)), field("fs_flags", Of::INT)]),
    record("super_block", &[field("s_dev", Of::Type("dev_t")), field("s_blocksize", Of::ULONG), field("s_type", pointer!("file_system_type")), field("s_flags", Of::ULONG), field("s_magic", Of::ULONG), field("s_root", pointer!("dentry")), field("s_fs_info", ANY), field("s_id", Of::Array(&Of::CHAR, 32))]),
    record("inode", INODE),
    record("file", FILE),
    record("fdtable", &[field("max_fds", Of::U32), field("fd", Of::Pointer(&pointer!("file")))]),
    record("files_struct", &[field("count", Of::Type("atomic_t")), field("fdt", pointer!("fdtable")), field("next_fd", Of::U32), field("fd_array", Of::Array(&pointer!("file"), 64))]),
    record("fs_struct", &[field("users", Of::INT), field("umask", Of::INT), field("root", Of::Struct("path")), field("pwd", Of::Struct("path"))]),
    record("kiocb", &[field("ki_filp", pointer!("file")), field("ki_pos", Of::Type("loff_t")), field("ki_flags", Of::INT)]),
    record("filename", &[field("name", Of::Pointer(&Of::CHAR)), field("uptr", Of::Pointer(&Of::CHAR)), field("refcnt", Of::Type("atomic_t"))]),
    record("linux_binprm", &[field("mm", pointer!("mm_struct")), field("p", Of::ULONG), field("file", pointer!("file")), field("executable", pointer!("file")), field("interpreter", pointer!("file")), field("cred", pointer!("cred")), field("argc", Of::INT), field("envc", Of::INT), field("filename", Of::Pointer(&Of::CHAR)), field("interp", Of::Pointer(&Of::CHAR))]),
    record("gendisk", &[field("major", Of::INT), field("first_minor", Of::INT), field("minors", Of::INT), field("disk_name", Of::Array(&Of::CHAR, 32)), field("part0", pointer!("block_device")), field("queue", pointer!("request_queue"))]),
    record("block_device", &[field("bd_start_sect", Of::Type("sector_t")), field("bd_nr_sectors", Of::Type("sector_t")), field("bd_disk", pointer!("gendisk")), field("bd_queue", pointer!("request_queue")), field("bd_partno", Of::Type("u8")), field("bd_dev", Of::Type("dev_t"))]),
    record("request_queue", &[field("disk", pointer!("gendisk")), field("queue_flags", Of::ULONG)]),
    record("bvec_iter", &[field("bi_sector", Of::Type("sector_t")), field("bi_size", Of::U32), field("bi_idx", Of::U32)]),
    record("bio", &[field("bi_next", pointer!("bio")), field("bi_bdev", pointer!("block_device")), field("bi_opf", Of::Type("blk_opf_t")), field("bi_flags", Of::U16), field("bi_iter", Of::Struct("bvec_iter"))]),
    record("request", &[field("q", pointer!("request_queue")), field("cmd_flags", Of::Type("blk_opf_t")), field("rq_flags", Of::U32), field("__data_len", Of::U32), field("__sector", Of::Type("sector_t")), field("bio", pointer!("bio")), field("part", pointer!("block_device")), field("start_time_ns", Of::Type("u64")), field("io_start_time_ns", Of::Type("u64"))]),
    record("page", &[field("flags", Of::ULONG), field("mapping", pointer!("address_space")), field("index", Of::ULONG), field("private", Of::ULONG)]),
    record("address_space", &[field("host", pointer!("inode")), field("nrpages", Of::ULONG)]),
    record("seq_file", &[field("buf", Of::Pointer(&Of::CHAR)), field("size", Of::Type("size_t")), field("from", Of::Type("size_t")), field("count", Of::Type("size_t")), field("private", ANY)]),
];

const ANY: Of = Of::Pointer(&Of::Void);

const INODE: &[Field] = &[
    field("i_mode", Of::Type("umode_t")),
    field("i_opflags", Of::U16),
    field("i_uid", Of::Type("kuid_t")),
    field("i_gid", Of::Type("kgid_t")),
    field("i_flags", Of::U32),
    field("i_op", pointer!("inode_operations")),
    field("i_sb", pointer!("super_block")),
    field("i_mapping", pointer!("address_space")),
    field("i_ino", Of::ULONG),
    field("i_nlink", Of::U32),
    field("i_rdev", Of::Type("dev_t")),
    field("i_size", Of::Type("loff_t")),
    field("i_blocks", Of::ULONG),
    field("i_state", Of::ULONG),
    field("i_generation", Of::Type("__u32")),
    field("i_private", ANY),
];

const FILE: &[Field] = &[
    field("f_mode", Of::Type("fmode_t")),
    field("f_count", Of::Type("atomic_long_t")),
    field("f_pos", Of::Type("loff_t")),
    field("f_flags", Of::U32),
    field("f_cred", pointer!("cred")),
    field("f_path", Of::Struct("path")),
    field("f_inode", pointer!("inode")),
    field("f_op", pointer!("file_operations")),
    field("private_data", ANY),
    field("f_mapping", pointer!("address_space")),
];
