package main

const sysInitModule = 175 // arch/x86/entry/syscalls/syscall_64.tbl
