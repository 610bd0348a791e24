import Glibc
import TestSupport
import Testing

/// A tutorial program that has been run to its end, which must be within a minute.
struct ExampleRun {
  /// What it printed.
  let lines: [String]
  /// Of the time that the processors had meanwhile, what they did not use; 0 if it is not known.
  private let idle: Double

  init(_ name: String, _ arguments: [String] = []) throws {
    let before = Self.processorTime()
    let run = try TestProgram(name, arguments)
    let output = try #require(run.readToEnd(within: 60), "it does not end")
    #expect(run.wait() == 0, "\(output)")
    #expect(run.remains() == [])
    let after = Self.processorTime()
    lines = output.split(separator: "\n").map(String.init)
    idle = after.all > before.all ? (after.idle - before.idle) / (after.all - before.all) : 0
  }

  /// What comes behind `start` in the one line that begins with it.
  func rest(of start: String) throws -> String {
    let found = lines.filter { $0.hasPrefix(start) }
    try #require(found.count == 1, "\(found.count) lines begin with '\(start)': \(lines)")
    return String(found[0].dropFirst(start.count))
  }

  /// The seconds at the end of the line that begins so.
  func seconds(_ start: String) throws -> Double {
    let words = try rest(of: start).split(separator: " ")
    try #require(words.last == "seconds", "\(lines)")
    return try #require(words.dropLast().last.flatMap { Double($0) }, "\(lines)")
  }

  /// The speed-up that it printed, which must be that of the times of two of its lines.
  func speedUp(from serial: String, to parallel: String) throws -> Double {
    let printed = try speedUp()
    let ratio = try seconds(serial) / seconds(parallel)
    #expect(abs(printed - ratio) <= 0.01, "\(lines)")
    return printed
  }

  /// The speed-up that it printed.
  func speedUp() throws -> Double {
    try #require(Double(try rest(of: "speed-up: ")), "\(lines)")
  }

  /// Whether there was a processor to spare. While a program works serially, every processor but
  /// one idles, unless others use it: a third of the time of two, if the program then uses both.
  /// One that idles as long and is no faster in parallel has not used what there was.
  var hadProcessorsToSpare: Bool {
    sysconf(Int32(_SC_NPROCESSORS_ONLN)) >= 2 && idle >= 0.35
  }

  /// Since the machine was started, in one unit for both; see proc_stat(5).
  private static func processorTime() -> (idle: Double, all: Double) {
    guard let file = fopen("/proc/stat", "r") else { return (0, 0) }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    guard fgets(&line, Int32(line.count), file) != nil else { return (0, 0) }
    let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    // user, nice, system, idle, waiting for a device, interrupts (two), stolen
    let times = text.split { !$0.isNumber }.prefix(8).compactMap { Double($0) }
    guard times.count == 8 else { return (0, 0) }
    return (times[3] + times[4], times.reduce(0, +))
  }
}
