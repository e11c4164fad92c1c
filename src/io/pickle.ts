// A reader of Python pickles that executes nothing: a stack machine for the opcodes of protocols 2 to 5 that occur in data. A host decides about
// names of classes and functions: it knows a few, and refuses all others by name.
// Source: CPython Lib/pickletools.py (opcode table); the host's part follows PEP 307.

import { FileFormatError } from "../core/errors.ts";
import { printable, quoteValue, shortened } from "../core/text.ts";

/** Pickles of tensors are kilobytes: the numbers are stored beside them. */
const MAX_PICKLE_BYTES = 1 << 24;

export interface PickleTuple<T> {
  readonly kind: "tuple";
  readonly items: readonly PickleValue<T>[];
}

export interface PickleList<T> {
  readonly kind: "list";
  readonly items: PickleValue<T>[];
}

export interface PickleDict<T> {
  readonly kind: "dict";
  readonly entries: Map<PickleValue<T>, PickleValue<T>>;
}

/** A class or function by name, e.g. "torch._utils._rebuild_tensor_v2"; inert. */
export interface PickleGlobal {
  readonly kind: "global";
  readonly name: string;
}

/** Values of a pickle; T are the objects that the host makes. */
export type PickleValue<T> =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | PickleTuple<T>
  | PickleList<T>
  | PickleDict<T>
  | PickleGlobal
  | T;

/** Decides what names mean. All three throw to refuse. */
export interface PickleHost<T> {
  /** Called when a name appears, before anything is done with it. */
  checkGlobal(name: string): void;
  /** The object that calling `name` with `args` stands for. */
  call(name: string, args: readonly PickleValue<T>[]): PickleValue<T>;
  /** The object that lives outside the pickle under `id`. */
  persistent(id: PickleValue<T>): PickleValue<T>;
}

/** Opcodes that are known and refused, so that the message can say what they are. */
const REFUSED: Readonly<Record<number, string>> = {
  73: "INT (protocol 0)",
  76: "LONG (protocol 0)",
  70: "FLOAT (protocol 0)",
  83: "STRING (protocol 0)",
  86: "UNICODE (protocol 0)",
  80: "PERSID (protocol 0)",
  103: "GET (protocol 0)",
  112: "PUT (protocol 0)",
  105: "INST",
  111: "OBJ",
  130: "EXT1",
  131: "EXT2",
  132: "EXT4",
  146: "NEWOBJ_EX",
  143: "EMPTY_SET",
  144: "ADDITEMS",
  145: "FROZENSET",
  151: "NEXT_BUFFER",
  152: "READONLY_BUFFER",
};

/**
 * The value of a pickle.
 *
 * @param bytes the whole pickle; work and memory are proportional to its length
 * @param file for error messages
 * @param maxSteps how many opcodes it may have; each makes at most one value
 * @throws {FileFormatError} cut off, damaged, too long ("file-limit" for too many opcodes), or holding something that is refused
 */
export function unpickle<T extends { readonly kind: string }>(
  bytes: Uint8Array,
  host: PickleHost<T>,
  file: string,
  maxSteps: number,
): PickleValue<T> {
  if (bytes.length > MAX_PICKLE_BYTES) {
    throw new FileFormatError(file, `a pickle of at most ${MAX_PICKLE_BYTES} bytes`, `${bytes.length}`);
  }
  return new Unpickler(bytes, host, file).run(maxSteps);
}

class Unpickler<T extends { readonly kind: string }> {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #host: PickleHost<T>;
  readonly #file: string;
  readonly #memo = new Map<number, PickleValue<T>>();
  /** Heights of the stack where MARK was seen. */
  readonly #marks: number[] = [];
  #stack: PickleValue<T>[] = [];
  #at = 0;

  constructor(bytes: Uint8Array, host: PickleHost<T>, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#host = host;
    this.#file = file;
  }

  run(maxSteps: number): PickleValue<T> {
    for (let step = 0; step < maxSteps; step++) {
      const opcode = this.#u8();
      if (opcode === 0x2e) return this.#pop(); // STOP
      this.#step(opcode);
    }
    throw new FileFormatError(this.#file, `a pickle of at most ${maxSteps} opcodes`, "a longer one", "file-limit");
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: {
        const protocol = this.#u8();
        if (protocol < 2 || protocol > 5) throw this.#error("pickle protocol 2 to 5", `protocol ${protocol}`);
        break;
      }
      case 0x95: // FRAME: only a hint for buffering
        this.#take(8);
        break;

      case 0x4e: // NONE
        this.#push(null);
        break;
      case 0x88: // NEWTRUE
        this.#push(true);
        break;
      case 0x89: // NEWFALSE
        this.#push(false);
        break;
      case 0x4b: // BININT1
        this.#push(this.#u8());
        break;
      case 0x4d: // BININT2
        this.#push(this.#view.getUint16(this.#take(2), true));
        break;
      case 0x4a: // BININT
        this.#push(this.#view.getInt32(this.#take(4), true));
        break;
      case 0x8a: // LONG1
        this.#push(this.#long(this.#u8()));
        break;
      case 0x8b: // LONG4
        this.#push(this.#long(this.#u32()));
        break;
      case 0x47: // BINFLOAT
        this.#push(this.#view.getFloat64(this.#take(8), false));
        break;

      case 0x8c: // SHORT_BINUNICODE
        this.#push(this.#text(this.#u8()));
        break;
      case 0x58: // BINUNICODE
        this.#push(this.#text(this.#u32()));
        break;
      case 0x8d: // BINUNICODE8
        this.#push(this.#text(this.#u64()));
        break;
      case 0x55: // SHORT_BINSTRING
        this.#push(this.#text(this.#u8()));
        break;
      case 0x54: // BINSTRING
        this.#push(this.#text(this.#u32()));
        break;
      case 0x43: // SHORT_BINBYTES
        this.#push(this.#raw(this.#u8()));
        break;
      case 0x42: // BINBYTES
        this.#push(this.#raw(this.#u32()));
        break;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.#push(this.#raw(this.#u64()));
        break;

      case 0x28: // MARK
        this.#marks.push(this.#stack.length);
        break;
      case 0x30: // POP
        this.#pop();
        break;
      case 0x31: // POP_MARK
        this.#sinceMark();
        break;
      case 0x32: // DUP
        this.#push(this.#top());
        break;

      case 0x29: // EMPTY_TUPLE
        this.#push({ kind: "tuple", items: [] });
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.#push({ kind: "tuple", items: this.#popMany(opcode - 0x84) });
        break;
      case 0x74: // TUPLE
        this.#push({ kind: "tuple", items: this.#sinceMark() });
        break;
      case 0x5d: // EMPTY_LIST
        this.#push({ kind: "list", items: [] });
        break;
      case 0x6c: // LIST
        this.#push({ kind: "list", items: this.#sinceMark() });
        break;
      case 0x61: // APPEND
        this.#append([this.#pop()]);
        break;
      case 0x65: // APPENDS
        this.#append(this.#sinceMark());
        break;
      case 0x7d: // EMPTY_DICT
        this.#push({ kind: "dict", entries: new Map() });
        break;
      case 0x64: {
        // DICT
        const pairs = this.#sinceMark();
        this.#push({ kind: "dict", entries: new Map() });
        this.#setItems(pairs);
        break;
      }
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2));
        break;
      case 0x75: // SETITEMS
        this.#setItems(this.#sinceMark());
        break;

      case 0x71: // BINPUT
        this.#memo.set(this.#u8(), this.#top());
        break;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#u32(), this.#top());
        break;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        break;
      case 0x68: // BINGET
        this.#push(this.#remembered(this.#u8()));
        break;
      case 0x6a: // LONG_BINGET
        this.#push(this.#remembered(this.#u32()));
        break;

      case 0x63: // GLOBAL
        this.#global(this.#line(), this.#line());
        break;
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        if (typeof module !== "string" || typeof name !== "string") throw this.#error("two strings", "other values");
        this.#global(module, name);
        break;
      }
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        this.#call();
        break;
      case 0x62: // BUILD: attributes of an object, which the values here do not have
        this.#pop();
        if (!isDict(this.#top())) throw this.#error("attributes (BUILD) of a dictionary only", describe(this.#top()));
        break;
      case 0x51: // BINPERSID
        this.#push(this.#host.persistent(this.#pop()));
        break;

      default: {
        const name = REFUSED[opcode];
        const hex = `0x${opcode.toString(16).padStart(2, "0")}`;
        // INST names a class in the two lines that follow it.
        const detail = opcode === 0x69 ? ` of ${shownName(`${this.#line()}.${this.#line()}`)}` : "";
        throw new FileFormatError(
          this.#file,
          "a pickle of data only",
          name ? `opcode ${name}${detail}` : `unknown opcode ${hex} at byte ${this.#at - 1}`,
          "pickle-refused",
        );
      }
    }
  }

  #global(module: string, name: string): void {
    const global: PickleGlobal = { kind: "global", name: `${module}.${name}` };
    this.#host.checkGlobal(global.name);
    this.#push(global);
  }

  #call(): void {
    const [callee, args] = this.#popMany(2);
    if (!isGlobal(callee)) throw this.#error("a name to call", describe(callee));
    if (!isTuple(args)) throw this.#error("a tuple of arguments", describe(args));
    this.#push(this.#host.call(callee.name, args.items));
  }

  #append(items: readonly PickleValue<T>[]): void {
    const list = this.#top();
    if (!isList(list)) throw this.#error("a list to append to", describe(list));
    for (const item of items) list.items.push(item);
  }

  #setItems(pairs: readonly PickleValue<T>[]): void {
    const dict = this.#top();
    if (!isDict(dict)) throw this.#error("a dictionary to fill", describe(dict));
    if (pairs.length % 2 !== 0) throw this.#error("keys with values", "a key alone");
    for (let i = 0; i < pairs.length; i += 2) dict.entries.set(pairs[i]!, pairs[i + 1]!);
  }

  #remembered(index: number): PickleValue<T> {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#error("a value that was memoised", `index ${index}`);
    return value;
  }

  #push(value: PickleValue<T>): void {
    this.#stack.push(value);
  }

  #pop(): PickleValue<T> {
    return this.#popMany(1)[0]!;
  }

  #top(): PickleValue<T> {
    if (this.#stack.length <= this.#floor()) throw this.#error("a value on the stack", "none");
    return this.#stack.at(-1)!;
  }

  #popMany(count: number): PickleValue<T>[] {
    const from = this.#stack.length - count;
    if (from < this.#floor()) throw this.#error(`${count} values on the stack`, "fewer");
    return this.#stack.splice(from);
  }

  #sinceMark(): PickleValue<T>[] {
    const from = this.#marks.pop();
    if (from === undefined) throw this.#error("a mark on the stack", "none");
    return this.#stack.splice(from);
  }

  /** Values below the last mark are out of reach. */
  #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  /** The position of the next `count` bytes, which are then behind. */
  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new FileFormatError(
        this.#file,
        "a whole pickle",
        `its end at byte ${this.#bytes.length}`,
        "file-truncated",
      );
    }
    this.#at = at + count;
    return at;
  }

  #u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #u64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  #raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #text(length: number): string {
    return new TextDecoder().decode(this.#raw(length));
  }

  /** A two's-complement little-endian integer. */
  #long(length: number): number {
    const bytes = this.#raw(length);
    if (length > 8) throw this.#error("an integer of at most 8 bytes", `${length} bytes`);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    const signed = Number(BigInt.asIntN(8 * length, value));
    if (!Number.isSafeInteger(signed)) throw this.#error("an integer within ±2^53", `about ${signed}`);
    return signed;
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    // Without a line feed, taking more than there is reports the truncation.
    const length = (end < 0 ? this.#bytes.length : end) - this.#at;
    const at = this.#take(length + 1);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #error(expected: string, got: string): FileFormatError {
    return new FileFormatError(this.#file, `${expected} in the pickle`, `${got} (before byte ${this.#at})`);
  }
}

export function isTuple<T>(value: PickleValue<T> | undefined): value is PickleTuple<T> {
  return kindOf(value) === "tuple";
}

export function isList<T>(value: PickleValue<T> | undefined): value is PickleList<T> {
  return kindOf(value) === "list";
}

export function isDict<T>(value: PickleValue<T> | undefined): value is PickleDict<T> {
  return kindOf(value) === "dict";
}

export function isGlobal<T>(value: PickleValue<T> | undefined): value is PickleGlobal {
  return kindOf(value) === "global";
}

/** The `kind` of an object value, else "". */
export function kindOf(value: unknown): string {
  return typeof value === "object" && value !== null && "kind" in value ? String(value.kind) : "";
}

/** A value in a word or two, for error messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return kindOf(value) || quoteValue(value);
}

/** The name of a class or function, for error messages. */
export function shownName(name: string): string {
  return shortened(printable(name), 120);
}
