import BigInt
import Glibc
import Multiprocessing

/// The tasks that come with the service: small, exact, and each shows one thing.
enum BuiltInTasks {
  /// All of them.
  static let all: [AnyTask] = [
    square.erased, factorial.erased, primes.erased, sort.erased, echo.erased, sleep.erased,
    burn.erased, fail.erased, crash.erased,
  ]

  /// `square(n)`: n × n, for any whole number.
  static let square = TaskDefinition<Integer, Integer>("square") { $0.squared }

  /// `factorial(n)`: n!, exact, for n from 0 to 20,000.
  static let factorial = TaskDefinition<Int, Integer>("factorial") { number in
    guard number >= 0 else {
      throw TaskError("factorial of \(number): not defined for negative numbers")
    }
    guard number <= 20_000 else {
      throw TaskError("factorial of \(number): at most 20,000, so that one job stays small")
    }
    return .big(product(1, max(number, 1)))
  }

  /// The product of all whole numbers in a range, by halves: factors of like size multiply faster.
  private static func product(_ low: Int, _ high: Int) -> BigInt {
    if high - low < 8 { return (low...high).reduce(BigInt(1)) { $0 * BigInt($1) } }
    let middle = (low + high) / 2
    return product(low, middle) * product(middle + 1, high)
  }

  /// `primes(n)`: all primes up to n, for n up to 10,000,000.
  static let primes = TaskDefinition<Int, [Int]>("primes") { bound in
    guard bound <= 10_000_000 else { throw TaskError("primes up to \(bound): at most 10,000,000") }
    guard bound >= 2 else { return [] }
    var isComposite = [Bool](repeating: false, count: bound + 1)
    var candidate = 2
    while candidate * candidate <= bound {
      if !isComposite[candidate] {
        for multiple in stride(from: candidate * candidate, through: bound, by: candidate) {
          isComposite[multiple] = true
        }
      }
      candidate += 1
    }
    return (2...bound).filter { !isComposite[$0] }
  }

  /// `sort(list)`: a list of numbers, ascending.
  static let sort = TaskDefinition<NumberList, NumberList>("sort") { $0.sorted }

  /// `echo(value)`: the value itself, to the letter.
  static let echo = TaskDefinition<JSONValueText, JSONValueText>("echo") { $0 }

  /// `sleep(seconds)`: sleeps, and answers the seconds.
  static let sleep = TaskDefinition<Double, Double>("sleep") { seconds in
    guard seconds >= 0, seconds <= 86_400 else {
      throw TaskError("sleep of \(seconds) seconds: between 0 and 86,400")
    }
    var rest = timespec(
      tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    while nanosleep(&rest, &rest) != 0, errno == EINTR {}
    return seconds
  }

  /// `burn(ms)`: computes for so many milliseconds of CPU time, and answers them.
  static let burn = TaskDefinition<Double, Double>("burn") { milliseconds in
    guard milliseconds >= 0, milliseconds <= 3_600_000 else {
      throw TaskError("burn of \(milliseconds) ms: between 0 and 3,600,000")
    }
    let end = cpuMilliseconds() + milliseconds
    var state: UInt64 = 1
    while cpuMilliseconds() < end {
      for _ in 0..<2_000 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
    }
    // Used, so that the loop is not optimised away.
    guard state != 0 else { throw TaskError("impossible") }
    return milliseconds
  }

  private static func cpuMilliseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1_000 + Double(time.tv_nsec) / 1_000_000
  }

  /// `fail(message)`: throws.
  static let fail = TaskDefinition<String, NoResult>("fail") { message in
    throw TaskError(message)
  }

  /// `crash({"signal":9})` or `crash({"exit":3})`: ends its worker.
  static let crash = TaskDefinition<Crash, NoResult>("crash") { crash in
    if let signal = crash.signal {
      guard (1...31).contains(signal) else { throw TaskError("signal \(signal): from 1 to 31") }
      Glibc.signal(signal, SIG_DFL)
      kill(getpid(), signal)
    } else if let status = crash.exit {
      guard (0...255).contains(status) else { throw TaskError("exit \(status): from 0 to 255") }
      fflush(nil)
      _exit(status)
    } else {
      throw TaskError("crash needs {\"signal\":n} or {\"exit\":n}")
    }
    // A signal that does not end a process (SIGCHLD, say) leaves it running.
    return NoResult()
  }
}

/// What `crash` is told.
struct Crash: Codable, Sendable {
  var signal: Int32?
  var exit: Int32?
}

/// An error with a sentence.
struct TaskError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
