import JobCore

/// A program that stays and runs one job after another, `pools: NAME: worker: …`.
struct WorkerProgramSettings: Equatable, Sendable {
  /// The program and its arguments.
  var arguments: [String]
  /// Where it starts; nil: where the service was started.
  var directory: String?
  /// Variables, and their values, that it gets beside PATH and LANG.
  var environment: [String: String] = [:]
  /// Variables that it gets as the service has them.
  var inherited: [String] = []
  /// What it is to run before it is ready, as it names its functions.
  var initializer: String?
  /// What that is called with, a JSON array.
  var initializerArguments = "[]"
  /// The path of the script that the initializer is in; of a created pool only.
  var main: String?
  /// Whether a submission may have `"encoding":"pickle"`, if the service allows it at all.
  var allowsPickle = false
  /// Whether a submission may name its script.
  var allowsMain = false
  /// The most bytes of a job's arguments; nil: what a body may have.
  var argumentBytesMax: Int?
  /// The most bytes of a result; nil: what a body may have.
  var outputBytesMax: Int?
  /// Where that is said.
  var outputPlace = ""
  /// Bytes that are kept of a job's stdout, and as many of its stderr.
  var logBytesMax = 1 << 20

  /// The variable that names its channel, which nothing else can set.
  static let ownVariables = ["LIDO_CHANNEL"]

  /// A program with everything else at its default.
  init(arguments: [String]) {
    self.arguments = arguments
  }

  /// Where the program is looked for if its name is a bare one.
  ///
  /// - Parameter variables: those of the service.
  func path(in variables: [String: String]) -> String {
    environment["PATH"] ?? (inherited.contains("PATH") ? variables["PATH"] : nil)
      ?? ProgramSettings.defaultPath
  }

  /// Its variables, each `NAME=value`, where the service has `variables`.
  func environment(in variables: [String: String]) -> [String] {
    var all = ["PATH": ProgramSettings.defaultPath, "LANG": "C.UTF-8"]
    for name in inherited {
      if let value = variables[name] { all[name] = value }
    }
    all.merge(environment) { $1 }
    return all.map { "\($0.key)=\($0.value)" }.sorted()
  }
}
