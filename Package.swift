// swift-tools-version:6.3
import PackageDescription

/// What holds for every Swift target: the language mode is that of the tools version (6),
/// and a warning is an error, so that none is left to get used to.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

/// The tutorial programs, one folder of `Sources/Examples` each: `swift run letters`.
let examples = [
  "bank", "blur", "contexts", "factorials", "image-filters", "is-alive", "letters",
  "million-squares", "page-fetch", "parallel-sort", "pipe", "pipe-children", "pool-methods",
  "process-ids", "producer-consumer", "queue", "shared-counter", "speed-up", "squares",
  "start-methods", "value-and-array", "worker-lifetime",
]

/// Those of them that read and write pictures.
let pictureExamples: Set = ["blur", "image-filters"]

/// The simulated service: tests, or for Tests/simulate.sh a program of the same sources, which is
/// built with `-enable-testing` and so is no part of an ordinary build.
let isSimulating = Context.environment["LIDO_SIMULATION"] != nil

/// What the modules of service and library add to `strict`: a release build does not check at
/// run time that access to memory is exclusive, which costs some 3 % of all that a job costs. The
/// compiler's own check stays; debug builds, so the unit tests, and the simulation check at run
/// time as well. (SwiftPM takes such flags in a dependency from 6.3 on.)
let unchecked: [SwiftSetting] =
  isSimulating
  ? [] : [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let simulationModules: [Target.Dependency] = [
  "JobServer", "HTTPServer", "JSON", "JobCore", "JobStorage", "Multiprocessing", "Reactor",
  .product(name: "Logging", package: "swift-log"),
]
let simulation: Target =
  isSimulating
  ? .executableTarget(
    name: "Simulation", dependencies: simulationModules, path: "Tests/Simulation",
    exclude: ["SimulationTests.swift"], swiftSettings: strict)
  : .testTarget(
    name: "SimulationTests", dependencies: simulationModules, path: "Tests/Simulation",
    exclude: ["Program.swift"], swiftSettings: strict)

/// The import directions are a rule (design, "Targets"); `TidyTests` checks them in the sources.
let package = Package(
  name: "lido",
  products: [
    .executable(name: "lido", targets: ["Command"]),
    .library(name: "Lido", targets: ["Lido"]),
    .library(name: "Multiprocessing", targets: ["Multiprocessing"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/attaswift/BigInt.git", from: "6.0.1"),
    .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
  ],
  targets: [
    // C: what Swift cannot say or must not do between fork and exec.
    .target(name: "CPlatform", cSettings: [.define("_GNU_SOURCE")]),
    .systemLibrary(
      name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"])]),
    // For the examples only.
    .systemLibrary(
      name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),

    // Leaves.
    .target(name: "JSON", swiftSettings: strict + unchecked),
    .target(
      name: "JobCore",
      dependencies: [.product(name: "DequeModule", package: "swift-collections")],
      swiftSettings: strict + unchecked),

    // Adapters: they never import one another.
    .target(name: "Reactor", dependencies: ["CPlatform"], swiftSettings: strict + unchecked),
    .target(name: "HTTPServer", dependencies: ["CMicroHTTPD"], swiftSettings: strict + unchecked),
    .target(
      name: "JobStorage",
      dependencies: [
        "JobCore", "JSON", "CPlatform",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: strict + unchecked),
    .target(
      name: "Multiprocessing",
      dependencies: [
        "CPlatform", "JSON", .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: strict + unchecked),

    // The shell that joins them, the library product over it, and the program.
    .target(
      name: "JobServer",
      dependencies: [
        "JSON", "JobCore", "JobStorage", "Reactor", "HTTPServer", "Multiprocessing", "CNettle",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      // A link to openapi/openapi.yaml: the program serves the document that it was built with.
      resources: [.embedInCode("openapi.yaml")],
      swiftSettings: strict + unchecked),
    .target(name: "Lido", dependencies: ["JobServer", "Multiprocessing"], swiftSettings: strict),
    .executableTarget(
      name: "Command",
      dependencies: ["Lido", "Multiprocessing", .product(name: "BigInt", package: "BigInt")],
      swiftSettings: strict),
    .target(
      name: "Pictures", dependencies: ["CTurboJPEG"], path: "Sources/Examples/Pictures",
      swiftSettings: strict),

    // Tests.
    .target(
      name: "TestSupport", dependencies: ["CPlatform"], path: "Tests/TestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "JSONTests", dependencies: ["JSON", "TestSupport"], exclude: ["fuzz.py"],
      swiftSettings: strict),
    .testTarget(name: "JobCoreTests", dependencies: ["JobCore"], swiftSettings: strict),
    .testTarget(
      name: "JobStorageTests", dependencies: ["JobStorage", "JobCore", "JSON", "TestSupport"],
      exclude: ["fixtures"], swiftSettings: strict),
    .testTarget(
      name: "ReactorTests", dependencies: ["Reactor", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "HTTPServerTests", dependencies: ["HTTPServer", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "MultiprocessingTests",
      dependencies: [
        "CPlatform", "ConformanceProgram", "Multiprocessing", "PoolTestProgram",
        "ProcessTestProgram", "TestSupport",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "PoolTestProgram", dependencies: ["Multiprocessing", "TestSupport"],
      path: "Tests/PoolTestProgram", swiftSettings: strict),
    .executableTarget(
      name: "MeasureProgram", dependencies: ["Multiprocessing"],
      path: "Tests/MeasureProgram", swiftSettings: strict),
    .executableTarget(
      name: "ProcessTestProgram", dependencies: ["Multiprocessing", "TestSupport"],
      path: "Tests/ProcessTestProgram", swiftSettings: strict),
    .executableTarget(
      name: "ConformanceProgram", dependencies: ["Multiprocessing", "TestSupport"],
      path: "Tests/ConformanceProgram", swiftSettings: strict),
    .executableTarget(
      name: "ServiceTestProgram", dependencies: ["Lido", "Multiprocessing", "TestSupport"],
      path: "Tests/ServiceTestProgram", swiftSettings: strict),
    .testTarget(
      name: "JobServerTests",
      dependencies: [
        "JobServer", "HTTPServer", "JSON", "JobCore", "JobStorage", "Multiprocessing",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: strict),
    simulation,
    .testTarget(name: "TidyTests", swiftSettings: strict),
    .testTarget(
      name: "ExamplesTests",
      dependencies: ["TestSupport"] + examples.map { Target.Dependency(stringLiteral: $0) },
      swiftSettings: strict),
  ]
    + [
      // The template is a package of its own; here it is built with what it shares, for its tests.
      .executableTarget(
        name: "tasks-template", dependencies: ["Lido", "Multiprocessing"],
        path: "Sources/Examples/MyTasks/Sources", swiftSettings: strict)
    ]
    + examples.map { name in
      .executableTarget(
        name: name,
        dependencies: ["Multiprocessing"] + (pictureExamples.contains(name) ? ["Pictures"] : []),
        path: "Sources/Examples/\(name)", swiftSettings: strict)
    }
)
