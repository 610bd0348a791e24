/// One run of a program: all that it gets.
public struct ProgramCall: Equatable, Sendable {
  /// Its argv, at least one. The first names the program: a path (a relative one is taken from the
  /// working folder), or a bare name that is found by the `PATH` of `environment`, or where there
  /// is none in /usr/local/bin, /usr/bin and /bin. Never a shell. A NUL ends an argument. Together
  /// with the environment at most 256 KiB, and the kernel takes 128 KiB for a single one; see
  /// execve(2).
  public var arguments: [String]
  /// `"NAME=VALUE"`, and nothing else but the variables of `folderVariables`.
  public var environment: [String]
  /// The names of variables that are set to its working folder, in place of what `environment` has
  /// under these names: `["HOME", "TMPDIR", "PWD"]`.
  public var folderVariables: [String]
  /// What it can read from stdin, before the end of file. It need not read any of it.
  public var input: [UInt8]
  /// The most bytes that it may write to stdout. If it writes more it is killed, and what it wrote
  /// is dropped.
  public var outputBytesMax: Int
  /// How many bytes of its stderr are kept: the beginning and the end. At least 2.
  public var logBytesMax: Int
  /// Resource limits.
  public var limits: [ProcessSpecification.Limit] = []
  /// Added to the niceness.
  public var nice: Int32 = 0
  /// For the kernel's out-of-memory killer, -1000 to 1000: positive makes it die before others.
  public var outOfMemoryAdjustment: Int32 = 0

  /// A run without limits but those on what it writes.
  public init(
    arguments: [String], environment: [String] = [], folderVariables: [String] = [],
    input: [UInt8] = [], outputBytesMax: Int = 8 << 20, logBytesMax: Int = 1 << 20
  ) {
    self.arguments = arguments
    self.environment = environment
    self.folderVariables = folderVariables
    self.input = input
    self.outputBytesMax = outputBytesMax
    self.logBytesMax = logBytesMax
  }

  /// The variables that it gets when `folder` is its working folder.
  func environment(in folder: String) -> [String] {
    guard !folderVariables.isEmpty else { return environment }
    let kept = environment.filter { variable in
      !folderVariables.contains { variable.hasPrefix("\($0)=") }
    }
    return kept + folderVariables.map { "\($0)=\(folder)" }
  }
}
