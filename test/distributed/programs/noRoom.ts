// Loaded before a rank's program: takes the room behind the heap, as V8's code does where it is loaded close by.

import koffi from "koffi";

koffi.config({ ...koffi.config(), sync_stack_size: 8 << 20 });
const libc = koffi.load("libc.so.6");
const PAGE = 4096;
const end = Number(libc.func("sbrk", "intptr_t", ["intptr_t"])(0));
const types = ["intptr_t", "size_t", "int", "int", "int", "int64_t"];
/** MAP_FIXED_NOREPLACE, MAP_ANONYMOUS, MAP_PRIVATE. */
const FLAGS = 0x100022;
libc.func("mmap", "intptr_t", types)(Math.ceil(end / PAGE) * PAGE, PAGE, 0, FLAGS, -1, 0);
