import Glibc
import TestSupport

#if DEBUG
  @testable import Multiprocessing
#else
  import Multiprocessing
#endif

/// Values over descriptors, which only the argument of an initializer can carry.
enum InheritanceScenarios {
  #if DEBUG
    /// The writing end of a pipe.
    struct Writer: Codable, Sendable {
      let descriptor: Int32

      init(_ descriptor: Int32) { self.descriptor = descriptor }

      init(from decoder: any Decoder) throws {
        let place = try decoder.singleValueContainer().decode(Int.self)
        descriptor = try DescriptorTransfer.take(place, of: "Writer")
      }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(try DescriptorTransfer.add(descriptor, of: "Writer"))
      }
    }

    nonisolated(unsafe) static var writer: Writer?

    static let keep = TaskDefinition<Writer, NoResult>("keep") { given in
      writer = given
      return NoResult()
    }
    static let speak = TaskDefinition<Int, Int>("speak") { number in
      guard let writer else { throw Tasks.PlainError(text: "no writer") }
      return write(writer.descriptor, "\(number)\n", 2)
    }
    static let misuse = TaskDefinition<Writer, Int>("misuse") { _ in 0 }

    static let tasks: [any RegistrableTask] = [keep, speak, misuse]

    static func inherited() throws {
      var ends: [Int32] = [0, 0]
      check(pipe(&ends), equals: 0)
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      let writer = Writer(ends[1])
      let pool = try Pool(
        processes: 2, initializer: keep, initArgument: writer, maxTasksPerChild: 1)
      close(ends[1])  // Later workers get it all the same.
      try check(try pool.map(speak, 0..<6, chunkSize: 1), equals: [2, 2, 2, 2, 2, 2])
      let error = thrown(PoolError.self) { try pool.apply(misuse, writer) }
      guard case .argumentEncoding(let reason) = error.code else { fail("\(error)") }
      check(reason.contains("can only be shared through inheritance"), reason)
      pool.terminate()
      try pool.join()
      // Nobody has it any more: 12 bytes, and then the end.
      var buffer = [UInt8](repeating: 0, count: 64)
      check(read(ends[0], &buffer, 64), equals: 12)
      check(read(ends[0], &buffer, 64), equals: 0)
      close(ends[0])
    }
  #else
    static let tasks: [any RegistrableTask] = []
    static func inherited() throws {}
  #endif
}

extension Tasks {
  static var inherited: [any RegistrableTask] { InheritanceScenarios.tasks }
}
