import CPlatform
import Glibc
import Testing

@testable import Multiprocessing

/// A fork server that hangs is found out; one that is slow, or has nothing to say, is not.
@Suite struct SilenceTests {
  static let second: UInt64 = 1_000_000_000

  @Test func `who asks for nothing is never due`() {
    var silence = Silence()
    #expect(silence.passed(at: 1) == .none && silence.nextDeadline == nil)
    silence.asked(forStart: true)
    #expect(silence.passed(at: 1) == .none && silence.nextDeadline == 1 + 5 * Self.second)
    silence.heard()
    silence.startAnswered()
    #expect(silence.passed(at: 100 * Self.second) == .none && silence.nextDeadline == nil)
  }

  @Test(arguments: [true, false])
  func `silence is followed by a ping, and by the end`(isStart: Bool) {
    var silence = Silence()
    silence.asked(forStart: isStart)
    #expect(silence.passed(at: 0) == .none)
    #expect(silence.passed(at: 5 * Self.second - 1) == .none)
    #expect(silence.passed(at: 5 * Self.second) == .ping)
    #expect(silence.nextDeadline == 30 * Self.second)
    #expect(silence.passed(at: 30 * Self.second - 1) == .none)
    #expect(silence.passed(at: 30 * Self.second) == .hung)
    silence.lost()
    #expect(silence == Silence())
  }

  @Test func `strays are told from any number of children`() {
    var processes = lido_processes()
    defer { free(processes.list) }
    for number in (1...20_000 as ClosedRange<Int32>).reversed() where number % 3 != 0 {
      #expect(lido_append_process(&processes, number) == 0)
    }
    lido_sort_processes(&processes)
    #expect(processes.count == 13_334)
    let wrong = (1...20_000 as ClosedRange<Int32>).filter {
      (lido_has_process(&processes, $0) != 0) != ($0 % 3 != 0)
    }
    #expect(wrong == [])
  }

  @Test func `a start that takes long is no silence while pings are answered`() {
    var silence = Silence()
    silence.asked(forStart: true)
    var pings = 0
    for time in (0..<1_000 as Range<UInt64>) {
      switch silence.passed(at: time * Self.second) {
      case .none: break
      case .ping:
        pings += 1
        silence.heard()
        silence.ponged()
      case .hung: Issue.record("it answers")
      }
    }
    #expect(pings > 100)
    silence.startAnswered()
    silence.heard()
    #expect(silence.passed(at: 2_000 * Self.second) == .none && silence.nextDeadline == nil)
  }

  @Test func `what was on its way before it hung does not hide that`() {
    var silence = Silence()
    silence.asked(forStart: true)
    silence.asked(forStart: true)
    _ = silence.passed(at: 0)
    silence.heard()
    silence.startAnswered()
    _ = silence.passed(at: 0)
    #expect(silence.passed(at: 5 * Self.second) == .ping)
    #expect(silence.passed(at: 30 * Self.second) == .hung)
  }
}
