// A Vulkan layer for tests, below the one under test: it pretends that the k-th physical device is at PCI address 0000:1(7 - k):00.0, so that
// addresses are in another order than devices. No software driver reports addresses.
#include <stdint.h>
#include <string.h>

typedef void *Handle;
typedef void (*Function)(void);
typedef Function (*GetProcAddr)(Handle instance, const char *name);
struct Link { struct Link *next; GetProcAddr getProcAddr; };
struct Chain { int32_t type; struct Chain *next; int32_t function; struct Link *link; };
struct Extension { char name[256]; uint32_t version; };
struct Bus { int32_t type; struct Bus *next; uint32_t domain, bus, device, function; };
struct Negotiation { int32_t type; void *next; uint32_t version; GetProcAddr instance; void *device, *physicalDevice; };

/** The loader's own functions, the same for all instances. */
static GetProcAddr next;
static int32_t (*enumerate)(Handle, uint32_t *, Handle *);
static int32_t (*extensions)(Handle, const char *, uint32_t *, struct Extension *);
static void (*properties2)(Handle, void *);
static Handle devices[8];
static uint32_t count;

static int32_t createInstance(const struct Chain *info, const void *allocator, Handle *out) {
  struct Chain *chain = info->next;
  while (chain->type != 47 || chain->function != 0) chain = chain->next;
  next = chain->link->getProcAddr;
  chain->link = chain->link->next;
  int32_t result = ((int32_t (*)(const void *, const void *, Handle *))next(NULL, "vkCreateInstance"))(info, allocator, out);
  if (result != 0) return result;
  enumerate = (int32_t (*)(Handle, uint32_t *, Handle *))next(*out, "vkEnumeratePhysicalDevices");
  extensions = (int32_t (*)(Handle, const char *, uint32_t *, struct Extension *))next(*out, "vkEnumerateDeviceExtensionProperties");
  properties2 = (void (*)(Handle, void *))next(*out, "vkGetPhysicalDeviceProperties2");
  return 0;
}

static int32_t enumerateDevices(Handle instance, uint32_t *n, Handle *out) {
  int32_t result = enumerate(instance, n, out);
  if (out && *n <= 8) memcpy(devices, out, (count = *n) * sizeof *out);
  return result;
}

static int32_t enumerateExtensions(Handle device, const char *layer, uint32_t *n, struct Extension *out) {
  uint32_t own = *n - 1;
  int32_t result = extensions(device, layer, out ? &own : n, out);
  if (!out) ++*n;
  else {
    strcpy(out[own].name, "VK_EXT_pci_bus_info");
    *n = own + 1;
  }
  return result;
}

static void getProperties2(Handle device, struct Bus *it) {
  struct Bus *bus = it->next;
  // SwiftShader mentions what it does not know.
  if (bus && bus->type == 1000212000) it->next = NULL;
  properties2(device, it);
  it->next = bus;
  if (!bus || bus->type != 1000212000) return;
  for (uint32_t k = 0; k < count; k++)
    if (devices[k] == device) *bus = (struct Bus){bus->type, bus->next, 0, 0x17 - k, 0, 0};
}

static Function getProcAddr(Handle instance, const char *name) {
  if (!strcmp(name, "vkCreateInstance")) return (Function)createInstance;
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)getProcAddr;
  if (!strcmp(name, "vkEnumeratePhysicalDevices")) return (Function)enumerateDevices;
  if (!strcmp(name, "vkEnumerateDeviceExtensionProperties")) return (Function)enumerateExtensions;
  if (!strcmp(name, "vkGetPhysicalDeviceProperties2")) return (Function)getProperties2;
  return next(instance, name);
}

int32_t vkNegotiateLoaderLayerInterfaceVersion(struct Negotiation *it) {
  it->version = 2;
  it->instance = getProcAddr;
  it->device = it->physicalDevice = NULL;
  return 0;
}
