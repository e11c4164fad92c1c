// The three binary interfaces of MPI. C programs get handles and constants from mpi.h when they are compiled; here they are numbers.

import type { LibraryHandle } from "koffi";

/** A handle or an address, as koffi takes it. */
export type Handle = number | bigint;

export interface Abi {
  /** The C type of handles. */
  readonly handle: "void *" | "int";
  readonly world: Handle;
  readonly float: Handle;
  readonly double: Handle;
  readonly byte: Handle;
  readonly errorsReturn: Handle;
  /** Addresses with a meaning. */
  readonly inPlace: bigint;
  readonly ignoreStatus: bigint;
  /** MPI_THREAD_FUNNELED: other threads exist, and only the main one calls MPI. */
  readonly funneled: number;
}

/** Open MPI up to 5: handles are addresses of the library's variables (its mpi.h). */
export function openMpiAbi(library: LibraryHandle): Abi {
  const addressOf = (name: string): bigint => library.symbol(name);
  return {
    handle: "void *",
    world: addressOf("ompi_mpi_comm_world"),
    float: addressOf("ompi_mpi_float"),
    double: addressOf("ompi_mpi_double"),
    byte: addressOf("ompi_mpi_byte"),
    errorsReturn: addressOf("ompi_mpi_errors_return"),
    inPlace: 1n,
    ignoreStatus: 0n,
    funneled: 1,
  };
}

/** MPICH, Intel MPI, MVAPICH, Cray: integers (mpi.h of MPICH 3 and 4, kept alike by the MPICH ABI Compatibility Initiative). */
export const MPICH_ABI: Abi = {
  handle: "int",
  world: 0x44000000,
  float: 0x4c00040a,
  double: 0x4c00080b,
  byte: 0x4c00010d,
  errorsReturn: 0x54000001,
  inPlace: 0xffffffffffffffffn,
  ignoreStatus: 1n,
  funneled: 1,
};

/** The standard's own: small integers as pointers (MPI 5.0, chapter 20, "Application Binary Interface"). */
export const STANDARD_ABI: Abi = {
  handle: "void *",
  world: 0x101n,
  float: 0x210n,
  double: 0x214n,
  byte: 0x247n,
  errorsReturn: 0x143n,
  inPlace: 1n,
  ignoreStatus: 0n,
  funneled: 1024,
};
