// As much of an assembler for WebAssembly as one function on 64-bit integers needs. An expression is the bytes
// that leave its value on the stack, so that what is written with it reads like the formula.
// Binary format: https://webassembly.github.io/spec/core/binary/

export type Code = readonly number[];

const I32 = 0x7f;
const I64 = 0x7e;
const NO_RESULT = 0x40;
const IF = 0x04;
const LOOP = 0x03;
const BRANCH = 0x0c;
const END = 0x0b;

function unsignedLeb(value: number): Code {
  const more = value >>> 7;
  return more === 0 ? [value] : [(value & 0x7f) | 0x80, ...unsignedLeb(more)];
}

function signedLeb(value: bigint): Code {
  const bits = Number(value & 0x7fn);
  const rest = value >> 7n;
  const isLast = bits < 0x40 ? rest === 0n : rest === -1n;
  return isLast ? [bits] : [bits | 0x80, ...signedLeb(rest)];
}

const unary = (opcode: number) => (operand: Code) => [...operand, opcode];
const binary = (opcode: number) => (left: Code, right: Code) => [...left, ...right, opcode];
/** Little-endian and unaligned, `offset` bytes past `address`. */
const load =
  (opcode: number) =>
  (address: Code, offset = 0) => [...address, opcode, 0, ...unsignedLeb(offset)];

export const i32 = {
  constant: (value: number): Code => [0x41, ...signedLeb(BigInt(value))],
  add: binary(0x6a),
  isBelow: binary(0x49),
  isAtMost: binary(0x4d),
};

export const i64 = {
  /** Modulo 2^64. */
  constant: (value: bigint): Code => [0x42, ...signedLeb(BigInt.asIntN(64, value))],
  ofI32: unary(0xad),
  toI32: unary(0xa7),
  add: binary(0x7c),
  subtract: binary(0x7d),
  multiply: binary(0x7e),
  or: binary(0x84),
  xor: binary(0x85),
  shiftLeft: binary(0x86),
  shiftRight: binary(0x88),
  rotateLeft: binary(0x89),
  load32: load(0x35),
  load8: load(0x31),
  store: (address: Code, value: Code): Code => [...address, ...value, 0x37, 0, 0],
};

export const get = (local: number): Code => [0x20, local];
export const set = (local: number, value: Code): Code => [...value, 0x21, local];

export function when(condition: Code, ...then: Code[]): Code {
  return [...condition, IF, NO_RESULT, ...then.flat(), END];
}

export function whilst(condition: Code, ...body: Code[]): Code {
  const again = [BRANCH, 1]; // out of the `if`, to the loop's start
  return [LOOP, NO_RESULT, ...when(condition, ...body, again), END];
}

export interface FunctionShape {
  /** The locals from 0. */
  readonly i32Parameters: number;
  /** The locals after them, 0 at first. */
  readonly i32Locals: number;
  /** The locals after those, 0 at first. */
  readonly i64Locals: number;
}

const counted = (items: readonly Code[]) => [...unsignedLeb(items.length), ...items.flat()];
const sized = (code: Code) => [...unsignedLeb(code.length), ...code];
const section = (id: number, ...items: Code[]) => [id, ...sized(counted(items))];
const name = (text: string) => sized([...Buffer.from(text)]);

/** A module with one function, `run`, that gives an i32 and works on the importer's `host.memory` (64 KiB). */
export function moduleOf(shape: FunctionShape, body: Code): Uint8Array<ArrayBuffer> {
  const parameters = Array<Code>(shape.i32Parameters).fill([I32]);
  const locals = counted([
    [...unsignedLeb(shape.i32Locals), I32],
    [...unsignedLeb(shape.i64Locals), I64],
  ]);
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [0x60, ...counted(parameters), ...counted([[I32]])]),
    ...section(2, [...name("host"), ...name("memory"), 2, 0, 1]),
    ...section(3, [0]),
    ...section(7, [...name("run"), 0, 0]),
    ...section(10, sized([...locals, ...body, END])),
  ]);
}
