import Glibc
import Multiprocessing
import TestSupport

/// Errors of the library as a program catches them, in a task's closure as anywhere else.
enum CatchScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "catch": caught, "catch-outside": caughtOutside,
  ]

  /// What it has caught.
  static let catches = TaskDefinition<String, String>("catches") { what in
    switch what {
    case "endOfFile": return "\(try drained())"
    case "empty":
      do {
        return "\(try Queue<Int>().getNoWait())"
      } catch QueueError.full {
        return "full"
      } catch QueueError.empty {
        return "empty"
      }
    case "notLocked":
      do throws(LockError) {
        try Lock().release()
      } catch LockError.notLocked {
        return "notLocked"
      } catch {
        throw error
      }
    case "messageTooLong":
      let (reader, writer) = try Pipe(duplex: false)
      try writer.sendBytes([1, 2, 3])
      do {
        return "\(try reader.receiveBytes(maxLength: 2))"
      } catch ConnectionError.messageTooLong {
        return "messageTooLong"
      }
    default: break
    }
    return "nothing"
  }

  /// As in the pages.
  static let drain = TaskDefinition<Connection, Int>("drain") { connection in
    var sum = 0
    do {
      while true { sum += try connection.receive(Int.self) }
    } catch ConnectionError.endOfFile {
      return sum
    }
  }

  private static func drained() throws -> Int {
    let (reader, writer) = try Pipe(duplex: false)
    try writer.send(3)
    try writer.send(4)
    writer.close()
    return try drain.body(reader)
  }

  static func caught() throws {
    try Pool.with(processes: 1) { pool in
      let whats = ["endOfFile", "empty", "notLocked", "messageTooLong"]
      try check(try pool.map(catches, whats), equals: ["7"] + whats.dropFirst())
    }
  }

  /// What `body` throws, by the patterns that a program would write.
  private static func kind(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "nothing"
    } catch ProgramError.unknownTask {
      return "unknownTask"
    } catch ProcessError.notStarted {
      return "notStarted"
    } catch PoolError.workerLost {
      return "workerLost"
    } catch PoolError.notRunning {
      return "notRunning"
    } catch RemoteError.raised {
      return "raised"
    } catch SharedError.negativeCount {
      return "negativeCount"
    } catch TransferError.onlyAtStart, TransferError.notInTransfer {
      return "transfer"
    } catch is TimeoutError {
      return "timeout"
    } catch {
      return "\(error)"
    }
  }

  static func caughtOutside() throws {
    let pool = try Pool(processes: 1)
    check(kind { _ = try pool.apply(Tasks.unheard, 1) }, equals: "unknownTask")
    // Also within a ProcessError.
    check(kind { try Process(Tasks.unheard, 1).start() }, equals: "unknownTask")
    check(kind { try Process(Tasks.square, 1).join() }, equals: "notStarted")
    check(kind { _ = try pool.apply(Tasks.die, SIGKILL) }, equals: "workerLost")
    check(kind { _ = try pool.apply(Tasks.plain, 1) }, equals: "raised")
    check(kind { _ = try Shared.Array<Int>(count: -1) }, equals: "negativeCount")
    check(
      kind { _ = try pool.applyAsync(Tasks.wait, 10_000).get(timeout: .zero) }, equals: "timeout")
    pool.terminate()
    check(kind { _ = try pool.apply(Tasks.square, 1) }, equals: "notRunning")
    try pool.join()
  }

  static let registered: [any RegistrableTask] = [catches, drain]
}
