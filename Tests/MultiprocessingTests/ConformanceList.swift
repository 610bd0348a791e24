// The conformance list: which test shows each row of sections 1.1 to 1.6 and 1.9 of the
// specification (multiprocessing.md). M rows must hold, S rows should, N rows do not apply.
//
// Where the tests are:
//
//   Rows       ConformanceTests: `process`, `startMethods`, `sharedState` and others; each runs
//              ConformanceProgram with the start method and the row, in {fork, spawn, forkserver}.
//   Pool       PoolScenarioTests.scenario: runs PoolTestProgram with the start method and the row.
//   Scenario   SharedScenarioTests.scenario, ExchangeScenarioTests.scenario and
//              ProcessScenarioTests.scenario: run ProcessTestProgram, with children by fork(2).
//   Suite      any other suite of this folder, within its own process.
//   2nd half   the second half of the library brings it.
//   none       no test shows it.
//
// 1.1 Process
//
//   row   level  shown by, or why not
//   P1    M      Rows process P1
//   P2    S      not done: a process is this program (/proc/self/exe); only that has its tasks
//   P3    M      Rows process P3
//   P4    M      Rows process P4 (true and false as given, false by default in main)
//   P5    M      Rows process P5
//   P6    M      Rows parentsEnd
//   P7    M      Rows process P7, names, P7-key
//   P8    M      Rows process P8
//   P9    M      Rows process P9
//   P10   M      Rows process P10
//   P11   S      not done: Swift has no KeyboardInterrupt, and so P12 is the only case
//   P12   S      done: Rows process P12
//   P13   M      Rows process P13 (the affinity, for a pool as well)
//   P14   M      Rows process P14
//   P15   M      Rows process P15, T1 (two deep, by exit codes), exchange tree (by one pipe)
//   P16   M      Rows process P16
//   P17   M      Rows process P17
//   P18   M      Rows process P18, thousand
//   P19   S      done (Process.start drops its target); no test
//   P20   M      Rows process P20
//   P21   N      there are no daemonic threads; a process ends when its task returns
//   P22   M      Rows process P22, closed-at-start; Scenario closed-stdio (workers)
//   P23   M      Rows process P23, P22
//   P24   M      Rows startMethods P24
//   P25   M      Rows startMethods P25
//   P26   S      done by construction: the fork server's socket has no address
//   P27   N      as P26
//   P28   S      done as a Codable value and a task; no class is shipped (Rows process P3)
//   P29   M      Rows process P29, fault
//   P30   M      Rows process P30
//   P31   S      done: Rows process P31
//
// 1.2 Pool
//
//   L1 to L24    M   Pool scenario of that name
//   L25          S   done: Pool scenario L25
//   L26 to L37   M   Pool scenario of that name
//
//   L4, L5       the calls of L3 and L2 in their asynchronous form
//   L20          M part: the remote trace; S part done as file and line of the task's definition
//   L28          all of the first workers are replaced, and three are there and live
//   L34          from a process of its own, and from a worker
//   L30, L33     0.5, "12" and initializer=1 do not compile
//
// 1.3 Queue, SimpleQueue
//
//   Q1    M      QueueTests Q1; Scenario queue-both
//   Q2    M      QueueTests Q2, Q7; Scenario queue-both
//   Q3    M      Scenario queue-forked (there is no feeder thread)
//   Q4    M      QueueTests Q4
//   Q5    M      2nd half (JoinableQueue)
//   Q6    N      there is no import lock
//   Q7    M      QueueTests Q2, Q7
//   Q8    M      QueueTests Q8
//   Q9    N      there is no feeder thread, and so no hook: put throws
//   Q10   M      QueueTests Q10, Q11
//   Q11   S      done, in the simpler form (closed in both cases): QueueTests Q10, Q11
//   Q12   M      Scenario queue-both
//   Q13   M      QueueTests Q13
//   By spawn and forkserver: Rows exchange Q1, Q3, Q12, join-before-drain, killed-producer,
//   refused-item.
//
// 1.4 Connection, wait
//
//   C1    M      ConnectionTests C1; Scenarios pipe-echo, pipe-ends
//   C2    M      ConnectionTests C2
//   C3    M      Scenario pipe-echo
//   C4    M      ConnectionTests C4
//   C5    S      done: Scenario pipe-transfer
//   C6    S      done: Scenario pipe-transfer
//   C7    S      done: ConnectionTests C7; Scenario pipe-transfer
//   C8    M      ConnectionTests C8
//   C9    M      ConnectionTests C9, C15
//   C10   M      ConnectionTests C10, C11
//   C11   M      ConnectionTests C10, C11
//   C12   M      Scenario pipe-ends
//   C13   S      not done: no Listener and Client; the HTTP service is what accepts from outside
//   C14   S      done: ConnectionTests C14; Scenario pipe-transfer
//   C15   M      ConnectionTests C9, C15; Scenario pipe-waiting
//   C16   M      Scenario pipe-interrupted; Rows process C16
//   C17   M      ConnectionTests C17
//   C18   M      Rows process P20; Scenario descriptors (workers); Rows process C18
//   By spawn and forkserver: Rows exchange C1 (with C3), C14, C15, tree.
//
// 1.5 Value, Array
//
//   V1    M      Rows sharedState V1; SharedValueTests V1; Scenario shared-values
//   V2    M      SharedValueTests V2, V3; Rows sharedState V1 (two of its values have no lock)
//   V3    M      Rows sharedState V3; SharedValueTests V2, V3
//   V4    M      SharedValueTests V4
//   A1    M      Rows sharedState A1; SharedArrayTests A1; Scenario shared-arrays
//   A2    M      Rows sharedState A2; SharedArrayTests A2; Scenario shared-zero-fill
//   A3    M      SharedArrayTests A3; Scenario shared-arrays
//   A4    M, S   Scenarios shared-values (structures: done), shared-arrays; SharedValueTests A4
//
// 1.6 Synchronisation
//
//   K1    M      LockTests K1
//   K2    M      LockTests K2
//   K3    M      LockTests K3
//   K4    M      Rows sharedState K4 (Lock); Scenarios lock-killed, lock-inherited (RLock, too)
//   K5    S      done: LockTests K5; Scenario lock-inherited
//   K6 to K8     M      2nd half (Semaphore, BoundedSemaphore)
//   K9 to K13    M      2nd half (Condition)
//   K14          M, S   2nd half (Condition)
//   K15          M      2nd half (Event)
//   K16          S      2nd half (Event)
//   K17 to K24   M      2nd half (Barrier)
//
// 1.9 Start methods
//
//   T1    M      Rows startMethods T1; a Context has no setter and no context of its own
//   T2    M      Rows startMethods T2 (processes and workers); ExamplesTests start-methods
//   T3    M      Rows startMethods T3
//   T4    M      Rows startMethods T4
//   T5    N      typed
//   T6    S      done as a closure (bootstrap, preload): Rows startMethods T6; on_error is not
//   T7    M      Rows exchange T7; its first half is N: all are over descriptors
//   T8    M      Rows exchange T8
//   T9    M      Rows startMethods T9
//   T10   N      nothing is registered for forks
//   T11   M      Rows startMethods T11 (Process and Pool; nothing is printed)
//   T12   M      Rows startMethods T12; Pool scenario F11
//   T13   S      done: arguments always, and the environment by spawn and fork; no test
//
// Section 3, the failures
//
//   1     Pool scenarios F1, stopped, chaos
//   2     Pool scenario F2; Rows sharedState failure-2; Scenarios lock-killed*, queue-killed-*
//   3     Pool scenario F3
//   4     Pool scenarios one-way-error, L27
//   5     Pool scenarios broken-argument, unknown-task
//   6     Pool scenario L37
//   7     Pool scenarios F7, imap-terminated
//   8     PoolScenarioTests.ladder: F8, stopped; Pool scenarios terminate-in-callback, L17
//   9     Pool scenarios F9, F9-killed
//   10    Pool scenario F10 (2,000 calls, 200 by spawn; 20,000 when given as an argument, by hand)
//   11    Rows startMethods T12; Pool scenario F11
//   12    Rows orphans; PoolScenarioTests "a program that is killed leaves no worker behind"
//   14    Pool scenarios L25, L31, kept-alive, imap-dropped; Rows endOfMain
//   15    Rows orphans (SIGINT); Pool scenario F15; PoolScenarioTests "an interrupt ends a program"
