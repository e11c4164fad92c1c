// A stand-in for libmpi_abi.so.0, the standard's binary interface (MPI 5.0, chapter 20), on top of MPICH: takes the standard's handles and
// constants, and calls MPICH by its own. Only what axograd calls.

#include <mpi.h>
#include <stdint.h>
#include <string.h>

typedef const void *handle;

static MPI_Comm comm_of(handle h) { return (uintptr_t)h == 0x101 ? MPI_COMM_WORLD : MPI_COMM_NULL; }

static MPI_Datatype type_of(handle h) {
  switch ((uintptr_t)h) {
    case 0x210: return MPI_FLOAT;
    case 0x214: return MPI_DOUBLE;
    case 0x247: return MPI_BYTE;
    default: return MPI_DATATYPE_NULL;
  }
}

static const void *buffer_of(const void *b) { return b == (void *)1 ? MPI_IN_PLACE : b; }

// The linker's names are MPI's; the compiler's are others, as mpi.h declares MPI's with other types.
#define DEFINE(name, parameters) \
  __attribute__((visibility("default"))) int abi_##name parameters __asm__("MPI_" #name); \
  int abi_##name parameters

DEFINE(Abi_get_version, (int *major, int *minor)) {
  *major = 1;
  *minor = 0;
  return 0;
}

DEFINE(Init_thread, (void *argc, void *argv, int level, int *provided)) {
  if (level != 1024) return MPI_ERR_ARG;
  int got, code = PMPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &got);
  *provided = 1024 * got;
  return code;
}

DEFINE(Comm_set_errhandler, (handle comm, handle handler)) {
  return PMPI_Comm_set_errhandler(comm_of(comm), (uintptr_t)handler == 0x143 ? MPI_ERRORS_RETURN : MPI_ERRHANDLER_NULL);
}

DEFINE(Comm_rank, (handle comm, int *rank)) { return PMPI_Comm_rank(comm_of(comm), rank); }

DEFINE(Comm_size, (handle comm, int *size)) { return PMPI_Comm_size(comm_of(comm), size); }

DEFINE(Allgather, (const void *s, int n, handle t, void *r, int m, handle u, handle comm)) {
  return PMPI_Allgather(buffer_of(s), n, type_of(t), r, m, type_of(u), comm_of(comm));
}

DEFINE(Allgatherv, (const void *s, int n, handle t, void *r, const int *counts, const int *starts, handle u, handle comm)) {
  return PMPI_Allgatherv(buffer_of(s), n, type_of(t), r, counts, starts, type_of(u), comm_of(comm));
}

DEFINE(Sendrecv, (const void *s, int n, handle t, int to, int tag, void *r, int m, handle u, int from, int tag2, handle comm, void *status)) {
  if (status != NULL) return MPI_ERR_ARG;
  return PMPI_Sendrecv(s, n, type_of(t), to, tag, r, m, type_of(u), from, tag2, comm_of(comm), MPI_STATUS_IGNORE);
}

DEFINE(Error_string, (int code, char *text, int *length)) { return PMPI_Error_string(code, text, length); }

DEFINE(Get_library_version, (char *text, int *length)) {
  strcpy(text, "shim of the standard interface, on MPICH");
  *length = (int)strlen(text);
  return 0;
}

DEFINE(Abort, (handle comm, int code)) { return PMPI_Abort(comm_of(comm), code); }

DEFINE(Finalize, (void)) { return PMPI_Finalize(); }
