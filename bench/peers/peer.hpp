// Shared by the C++ peers: reading the network, and the line protocol (protocol.md).

#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace peer {

template <typename T>
std::vector<T> readFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    std::cerr << "cannot read " << path << std::endl;
    std::exit(1);
  }
  std::fseek(file, 0, SEEK_END);
  std::vector<T> data(static_cast<std::size_t>(std::ftell(file)) / sizeof(T));
  std::rewind(file);
  const std::size_t got = std::fread(data.data(), sizeof(T), data.size(), file);
  std::fclose(file);
  if (got != data.size()) std::exit(1);
  return data;
}

/** CSR and CSC of one matrix, and the operands. */
struct Data {
  std::vector<std::uint32_t> rowPtr, colIdx, colPtr, rowIdx;
  std::vector<float> values, valuesCsc, x, g;
  int n;
  int batch;
  int threads;

  explicit Data(char** argv) {
    const std::string folder = std::string(argv[1]) + "/";
    batch = std::atoi(argv[2]);
    threads = std::atoi(argv[3]);
    rowPtr = readFile<std::uint32_t>(folder + "rowPtr.u32");
    colIdx = readFile<std::uint32_t>(folder + "colIdx.u32");
    values = readFile<float>(folder + "values.f32");
    colPtr = readFile<std::uint32_t>(folder + "colPtr.u32");
    rowIdx = readFile<std::uint32_t>(folder + "rowIdx.u32");
    valuesCsc = readFile<float>(folder + "valuesCsc.f32");
    x = readFile<float>(folder + "x.f32");
    g = readFile<float>(folder + "g.f32");
    n = static_cast<int>(rowPtr.size()) - 1;
  }
};

struct Operation {
  std::function<void()> run;
  /** Sets to zero what `run` adds to. */
  std::function<void()> clear;
  /** Results by name. */
  std::function<std::map<std::string, std::vector<float>>()> results;
};

inline double secondsPerRun(const Operation& operation, int repeats) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; i++) operation.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

inline void write(const Operation& operation, const std::string& prefix) {
  operation.clear();
  operation.run();
  for (const auto& [name, values] : operation.results()) {
    std::FILE* file = std::fopen((prefix + "." + name + ".f32").c_str(), "wb");
    std::fwrite(values.data(), sizeof(float), values.size(), file);
    std::fclose(file);
  }
}

/** Serves requests until the input ends. */
inline int serve(const std::string& name, int threads, const std::map<std::string, Operation>& operations) {
  std::string list;
  for (const auto& entry : operations) list += (list.empty() ? "" : ",") + entry.first;
  std::cout << "ready " << name << "|" << list << "|" << threads << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command, operation, argument;
    words >> command >> operation >> argument;
    if (command == "time") {
      std::cout << secondsPerRun(operations.at(operation), std::atoi(argument.c_str())) << std::endl;
    } else {
      write(operations.at(operation), argument);
      std::cout << "ok" << std::endl;
    }
  }
  return 0;
}

}  // namespace peer
