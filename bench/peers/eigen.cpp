// Eigen's sparse product as its users write it: row-major matrix times row-major block of vectors. Eigen has no product restricted to a
// pattern, so the gradient is a loop over the stored entries with Eigen's dot product.
//
//   g++ -O3 -fopenmp -march=native -I<eigen> eigen.cpp

#include <Eigen/Dense>
#include <Eigen/Sparse>

#include "peer.hpp"

namespace {

using Matrix = Eigen::SparseMatrix<float, Eigen::RowMajor, int>;
using Block = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> toVector(const Block& block) { return {block.data(), block.data() + block.size()}; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  peer::Data data(argv);
  Eigen::setNbThreads(data.threads);
  const auto nnz = static_cast<Eigen::Index>(data.values.size());
  const auto signedIndices = [](std::vector<std::uint32_t>& v) { return reinterpret_cast<int*>(v.data()); };
  const auto matrix = [&](std::vector<std::uint32_t>& pointers, std::vector<std::uint32_t>& indices, std::vector<float>& values) {
    return Matrix(Eigen::Map<const Matrix>(data.n, data.n, nnz, signedIndices(pointers), signedIndices(indices), values.data()));
  };
  const Matrix w = matrix(data.rowPtr, data.colIdx, data.values);
  const Matrix transposed = matrix(data.colPtr, data.rowIdx, data.valuesCsc);
  const Block x = Eigen::Map<const Block>(data.x.data(), data.n, data.batch);
  const Block g = Eigen::Map<const Block>(data.g.data(), data.n, data.batch);
  Block y(data.n, data.batch);
  Block ct(data.n, data.batch);
  std::vector<float> grad(data.values.size());
  return peer::serve(
      "eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION), data.threads,
      {{"spmm", {[&] { y.noalias() = w * x; }, [] {}, [&] { return std::map<std::string, std::vector<float>>{{"y", toVector(y)}}; }}},
       {"spmmT+grad",
        {[&] {
           ct.noalias() = transposed * g;
#pragma omp parallel for schedule(dynamic, 256) num_threads(data.threads)
           for (int col = 0; col < data.n; col++)
             for (std::uint32_t k = data.colPtr[col]; k < data.colPtr[col + 1]; k++)
               grad[k] += g.row(data.rowIdx[k]).dot(x.row(col));
         },
         [&] { std::fill(grad.begin(), grad.end(), 0.0f); },
         [&] { return std::map<std::string, std::vector<float>>{{"ct", toVector(ct)}, {"grad", grad}}; }}}});
}
