/// A process to be started.
public struct ProcessSpecification: Sendable {
  /// What the process runs.
  public enum Program: Sendable {
    /// A fork of the fork server that continues in Swift with this entry point.
    case fork(EntryPoint)
    /// Another program. `path` is a path, or a bare name to be found by the `PATH` of `environment`
    /// (never in the working folder, never by a shell). `arguments` begins with the program's name.
    case exec(path: String, arguments: [String], environment: [String])
  }

  /// A descriptor of this process that the child gets under a number of its own.
  public struct Inherited: Sendable {
    /// The number here.
    public var source: Int32
    /// The number there. 0, 1 and 2 replace what the fork server has, /dev/null and its own stdout
    /// and stderr.
    public var target: Int32

    /// Gives `source` to the child as `target`.
    public init(_ source: Int32, as target: Int32) {
      self.source = source
      self.target = target
    }
  }

  /// A resource limit, in the unit of that resource; see `setrlimit(2)`.
  public struct Limit: Equatable, Sendable {
    /// `RLIMIT_AS` and so on.
    public var resource: Int32
    /// The limit that is enforced.
    public var soft: UInt64
    /// How far the process may raise it.
    public var hard: UInt64

    /// Creates a limit; `UInt64.max` is none.
    public init(resource: Int32, soft: UInt64, hard: UInt64) {
      self.resource = resource
      self.soft = soft
      self.hard = hard
    }
  }

  /// What it runs.
  public var program: Program
  /// The descriptors it gets beside 0, 1 and 2, and instead of them; at most 32. It gets no others.
  public var descriptors: [Inherited] = []
  /// Where it starts; nil: where the fork server is.
  public var workingFolder: String?
  /// Added to the niceness.
  public var nice: Int32 = 0
  /// Whether it is batch work for the kernel (`SCHED_BATCH`, sched(7)): it gets as much of the CPUs
  /// as any other, but when it wakes it does not push aside what runs. Where another policy than
  /// the usual one was chosen for the fork server, or this one is forbidden, that is kept.
  public var isBatch = false
  /// For the kernel's out-of-memory killer, -1000 to 1000: positive makes it die before others.
  public var outOfMemoryAdjustment: Int32 = 0
  /// Whether it may go on for 0.3 s when the client of the fork server is gone, to learn of that
  /// and end by itself, and what it leaves behind for 0.45 s after its end. All others are killed
  /// at once.
  public var lingers = false
  /// Whether it goes on when the fork server is killed, where all others are killed at once. Such a
  /// process begins with SIGRTMAX blocked, which tells it of that. A `Process` of this library
  /// follows its parent then; anything else may go on for as long as it likes.
  public var survivesForkServer = false
  /// Resource limits.
  public var limits: [Limit] = []

  /// A process that runs `program` with `descriptors`.
  public init(_ program: Program, descriptors: [Inherited] = []) {
    self.program = program
    self.descriptors = descriptors
  }
}
