import JobCore
import Multiprocessing

/// What the configuration says of one task, `tasks: NAME: …`.
struct TaskSettings: Equatable, Sendable {
  /// The task's name.
  let name: String
  /// Where the configuration names it, for people: `lido.yaml:3`.
  let place: String
  /// Where it bounds the result.
  var outputPlace = ""
  /// The program that the task is; nil: a task that workers announce, of which only the limits are
  /// said.
  var program: ProgramSettings?
  /// The longest that an attempt may run, whatever the submission says.
  var timeout: Milliseconds?
  /// CPU time that an attempt may use, in microseconds.
  var cpuMicroseconds: UInt64?
  /// Memory that an attempt may use, in bytes.
  var memoryBytes: UInt64?
  /// Descriptors that a process of an attempt may have open.
  var openFilesMax: UInt64?
  /// The largest result, in bytes; nil: the bound on every result.
  var outputBytesMax: Int?

  /// What an attempt may use.
  var limits: TaskLimits {
    TaskLimits(
      cpuMicroseconds: cpuMicroseconds, memoryBytes: memoryBytes, openFilesMax: openFilesMax)
  }

  /// No limits, no program.
  init(name: String, place: String) {
    self.name = name
    self.place = place
  }

  /// What the engine has to know of the task; nil: nothing.
  ///
  /// What a call uses can be told from what another used only if it has its worker to itself.
  var rule: TaskRule? {
    let isExclusive = cpuMicroseconds != nil || memoryBytes != nil
    guard timeout != nil || isExclusive else { return nil }
    return TaskRule(timeout: timeout, isExclusive: isExclusive)
  }
}

/// A program that is run once per job, `tasks: NAME: exec: …`.
struct ProgramSettings: Equatable, Sendable {
  /// What its standard output becomes.
  enum Result: Equatable, Sendable {
    /// It is JSON text, which is the result.
    case json
    /// It is UTF-8, and the result a string.
    case text
    /// It is bytes of this media type.
    case bytes(contentType: String)
  }

  /// What it reads from its standard input.
  enum Input: Equatable, Sendable {
    /// The job's arguments, `{"args":[…],"kwargs":{…}}`.
    case arguments
    /// A text made of the job's arguments: the last entry of the template.
    case lastArgument
    /// Nothing.
    case nothing
  }

  /// The program and its arguments, and its input after them if that is made of a job's arguments,
  /// too: together they must use what a job gives.
  let arguments: ArgumentTemplate
  /// The program, as the configuration names it.
  let name: String
  /// The pool that runs it.
  var pool = ProgramSettings.defaultPool
  var result = Result.text
  var input = Input.arguments
  /// Variables that every program gets from the service, and none from the configuration: its
  /// working folder, and what it runs for.
  static let ownVariables = [
    "HOME", "TMPDIR", "PWD", "LIDO_JOB_ID", "LIDO_TASK", "LIDO_ATTEMPT",
  ]
  /// Variables, and their values, that it gets beside the few that every program gets.
  var environment: [String: String] = [:]
  /// Variables that it gets as the service has them.
  var inherited: [String] = []
  /// Bytes of its standard error that are kept.
  var logBytesMax = 1 << 20

  /// Where programs are looked for, unless the configuration says otherwise.
  static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// Where the program is looked for if its name is a bare one.
  ///
  /// - Parameter variables: those of the service.
  func path(in variables: [String: String]) -> String {
    environment["PATH"] ?? (inherited.contains("PATH") ? variables["PATH"] : nil)
      ?? ProgramSettings.defaultPath
  }

  /// The pool of programs whose task names none.
  static let defaultPool = "programs"

  /// A program with everything else at its default.
  init(_ name: String, arguments: ArgumentTemplate, input: Input = .arguments) {
    self.name = name
    self.arguments = arguments
    self.input = input
  }
}
