// A Vulkan layer that gives every physical device of an instance another name: "NVIDIA H200" becomes "NVIDIA H200 [axograd 2 0000:65:00.0]",
// with its position in the driver's list and its PCI address, or "-" where the driver reports none. Dawn opens adapters by name, so of several
// equal ones it could open the first only. The layer changes nothing else, and takes no part in devices.
//
// It needs no Vulkan headers: what it reads of Vulkan's structures is declared here. cc -O2 -shared -fPIC -o libVkLayer_axograd.so deviceNames.c
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUCCESS = 0, INCOMPLETE = 5, ERROR_OUT_OF_HOST_MEMORY = -1, ERROR_INITIALIZATION_FAILED = -3 };
enum { LOADER_INSTANCE_CREATE_INFO = 47, PROPERTIES_2 = 1000059001, PCI_BUS_INFO = 1000212000 };
enum { LAYER_LINK_INFO = 0, INTERFACE_VERSION = 2, NAME_SIZE = 256 };

typedef void *Handle;
typedef void (*Function)(void);
typedef Function (*GetProcAddr)(Handle instance, const char *name);
typedef int32_t (*CreateInstance)(const void *info, const void *allocator, Handle *instance);
typedef void (*DestroyInstance)(Handle instance, const void *allocator);
typedef int32_t (*EnumerateDevices)(Handle instance, uint32_t *count, Handle *devices);
typedef void (*GetProperties)(Handle device, void *properties);
typedef int32_t (*EnumerateExtensions)(Handle device, const char *layer, uint32_t *count, void *extensions);

struct Structure { int32_t type; struct Structure *next; };
/** The functions of the next layer, or of the loader's end. */
struct Link { struct Link *next; GetProcAddr getProcAddr; };
struct InstanceLink { int32_t type; void *next; int32_t function; struct Link *link; };
/** The beginning of VkPhysicalDeviceProperties. */
struct Properties { uint32_t numbers[5]; char name[NAME_SIZE]; };
struct Properties2 { int32_t type; void *next; struct Properties properties; };
struct Extension { char name[NAME_SIZE]; uint32_t version; };
struct PciBusInfo { int32_t type; void *next; uint32_t domain, bus, device, function; };
struct Negotiation { int32_t type; void *next; uint32_t version; GetProcAddr instance; void *device, *physicalDevice; };

/** An instance. Its physical devices have the same key: the table of functions that the loader puts at the beginning of both. */
struct Instance {
  struct Instance *older;
  const void *key;
  GetProcAddr getProcAddr;
  // Of the next layer. They must be asked for while the instance is created: later the loader answers with the first layer's.
  DestroyInstance destroy;
  EnumerateDevices enumerate;
  EnumerateExtensions extensions;
  GetProperties properties, properties2;
  uint32_t count;
  Handle *devices;
};

static struct Instance *instances;
static char locked;

static void lock(void) { while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE)) {} }
static void unlock(void) { __atomic_clear(&locked, __ATOMIC_RELEASE); }

static const void *keyOf(Handle handle) { return *(void **)handle; }

/** The link that leads to the instance of a handle; to NULL where there is none. With the lock. */
static struct Instance **linkTo(Handle handle) {
  struct Instance **link = &instances;
  while (*link && (*link)->key != keyOf(handle)) link = &(*link)->older;
  return link;
}

/** It stays until the application destroys it, which it must not do while it uses it. */
static struct Instance *find(Handle handle) {
  lock();
  struct Instance *it = *linkTo(handle);
  unlock();
  return it;
}

static int32_t createInstance(const void *info, const void *allocator, Handle *out) {
  struct InstanceLink *chain = (struct InstanceLink *)((const struct Structure *)info)->next;
  while (chain && !(chain->type == LOADER_INSTANCE_CREATE_INFO && chain->function == LAYER_LINK_INFO)) chain = chain->next;
  if (!chain || !chain->link) return ERROR_INITIALIZATION_FAILED;
  GetProcAddr next = chain->link->getProcAddr;
  chain->link = chain->link->next;
  CreateInstance create = (CreateInstance)next(NULL, "vkCreateInstance");
  if (!create) return ERROR_INITIALIZATION_FAILED;
  struct Instance *it = calloc(1, sizeof *it);
  if (!it) return ERROR_OUT_OF_HOST_MEMORY;
  int32_t result = create(info, allocator, out);
  if (result != SUCCESS) {
    free(it);
    return result;
  }
  it->key = keyOf(*out);
  it->getProcAddr = next;
  it->destroy = (DestroyInstance)next(*out, "vkDestroyInstance");
  it->enumerate = (EnumerateDevices)next(*out, "vkEnumeratePhysicalDevices");
  it->extensions = (EnumerateExtensions)next(*out, "vkEnumerateDeviceExtensionProperties");
  it->properties = (GetProperties)next(*out, "vkGetPhysicalDeviceProperties");
  it->properties2 = (GetProperties)next(*out, "vkGetPhysicalDeviceProperties2");
  if (!it->properties2) it->properties2 = (GetProperties)next(*out, "vkGetPhysicalDeviceProperties2KHR");
  lock();
  it->older = instances;
  instances = it;
  unlock();
  return SUCCESS;
}

static void destroyInstance(Handle instance, const void *allocator) {
  if (!instance) return;
  lock();
  struct Instance **link = linkTo(instance), *it = *link;
  if (it) *link = it->older;
  unlock();
  if (!it) return;
  it->destroy(instance, allocator);
  free(it->devices);
  free(it);
}

static int32_t enumerateDevices(Handle instance, uint32_t *count, Handle *devices) {
  struct Instance *it = find(instance);
  if (!it) return ERROR_INITIALIZATION_FAILED;
  int32_t result = it->enumerate(instance, count, devices);
  if (!devices || (result != SUCCESS && result != INCOMPLETE)) return result;
  Handle *copy = malloc((*count + 1) * sizeof *copy);
  if (!copy) return ERROR_OUT_OF_HOST_MEMORY;
  memcpy(copy, devices, *count * sizeof *copy);
  lock();
  Handle *old = it->devices;
  it->devices = copy;
  it->count = *count;
  unlock();
  free(old);
  return result;
}

static int reportsPci(const struct Instance *it, Handle device) {
  uint32_t count = 0;
  if (it->extensions(device, NULL, &count, NULL) != SUCCESS) return 0;
  struct Extension *all = calloc(count + 1, sizeof *all);
  int found = 0;
  if (all && it->extensions(device, NULL, &count, all) == SUCCESS)
    for (uint32_t k = 0; k < count; k++) found |= !strcmp(all[k].name, "VK_EXT_pci_bus_info");
  free(all);
  return found;
}

/** "0000:65:00.0", or "-". */
static void pciAddress(const struct Instance *it, Handle device, char *text, size_t size) {
  if (!it->properties2 || !reportsPci(it, device)) {
    snprintf(text, size, "-");
    return;
  }
  // Larger than VkPhysicalDeviceProperties2, whose end is not declared here.
  union { struct Properties2 it; uint64_t space[512]; } properties = {0};
  struct PciBusInfo bus = {.type = PCI_BUS_INFO};
  properties.it.type = PROPERTIES_2;
  properties.it.next = &bus;
  it->properties2(device, &properties);
  snprintf(text, size, "%04x:%02x:%02x.%x", bus.domain, bus.bus, bus.device, bus.function);
}

/** Adds to the name what tells the device from its equals; a device that was never listed keeps its name. */
static void addPlace(const struct Instance *it, Handle device, char *name) {
  lock();
  uint32_t index = 0, count = it->count;
  while (index < count && it->devices[index] != device) index++;
  unlock();
  if (index == count) return;
  char address[48], suffix[80];
  pciAddress(it, device, address, sizeof address);
  size_t size = 1 + (size_t)snprintf(suffix, sizeof suffix, " [axograd %u %s]", index, address), at = 0;
  while (at < NAME_SIZE - size && name[at]) at++;
  memcpy(name + at, suffix, size);
}

static void getProperties(Handle device, struct Properties *properties) {
  struct Instance *it = find(device);
  if (!it) return;
  it->properties(device, properties);
  addPlace(it, device, properties->name);
}

static void getProperties2(Handle device, struct Properties2 *properties) {
  struct Instance *it = find(device);
  if (!it) return;
  it->properties2(device, properties);
  addPlace(it, device, properties->properties.name);
}

static Function getProcAddr(Handle instance, const char *name) {
  static const struct { const char *name; Function function; } own[] = {
      {"vkGetInstanceProcAddr", (Function)getProcAddr},
      {"vkCreateInstance", (Function)createInstance},
      {"vkDestroyInstance", (Function)destroyInstance},
      {"vkEnumeratePhysicalDevices", (Function)enumerateDevices},
      {"vkGetPhysicalDeviceProperties", (Function)getProperties},
      {"vkGetPhysicalDeviceProperties2", (Function)getProperties2},
      {"vkGetPhysicalDeviceProperties2KHR", (Function)getProperties2},
  };
  struct Instance *it = instance ? find(instance) : NULL;
  // Without an instance there are only the first two.
  for (size_t k = 0; k < (it ? sizeof own / sizeof *own : 2); k++)
    if (!strcmp(name, own[k].name)) return it && !it->properties2 && strstr(name, "Properties2") ? NULL : own[k].function;
  return it ? it->getProcAddr(instance, name) : NULL;
}

EXPORT int32_t vkNegotiateLoaderLayerInterfaceVersion(struct Negotiation *it) {
  if (it->version < INTERFACE_VERSION) return ERROR_INITIALIZATION_FAILED;
  it->version = INTERFACE_VERSION;
  it->instance = getProcAddr;
  it->device = NULL;
  it->physicalDevice = NULL;
  return SUCCESS;
}
