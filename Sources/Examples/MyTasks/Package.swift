// swift-tools-version:6.2
import PackageDescription

// A program whose tasks are yours, and that is the whole service. Copy this folder to wherever you
// like, name below where Lido is from there, and write your tasks in Sources/Tasks.swift.
let package = Package(
  name: "mytasks",
  dependencies: [
    // A clone, at whatever path and under whatever name; or, from a repository that your machine
    // can reach: .package(url: "https://…/lido.git", branch: "main")
    .package(name: "lido", path: "../../..")
  ],
  targets: [
    .executableTarget(
      name: "mytasks",
      dependencies: [
        .product(name: "Lido", package: "lido"), .product(name: "Multiprocessing", package: "lido"),
      ],
      path: "Sources")
  ]
)
